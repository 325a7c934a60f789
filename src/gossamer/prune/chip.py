"""Removes the channels whose maps the others nearly span.

Sui et al., "CHIP: Channel independence-based pruning for compact neural networks", NeurIPS 2021; `structure.chip` is
the score. Ours: channels that hang together are one unit, and the norms of what stays keep their statistics.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.channels import ChannelPruning
from gossamer.structure import ChannelIndependence

CHIP = register(
    "chip",
    ChannelPruning(score=ChannelIndependence(), batches=5),
    summary="Train, remove the channels whose maps depend most on the others', fine-tune the smaller network.",
    paper="chip",
)
