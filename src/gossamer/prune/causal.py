"""Removes the channels that say least about a disturbance of their layer's input; looks at no data.

After Ferianc et al., "On causal inference for data-free structured pruning", AAAI-22 workshop ITCI;
`structure.causal` is the score, and says what of it is ours.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.channels import ChannelPruning
from gossamer.structure import CausalInformation

CAUSAL = register(
    "causal",
    ChannelPruning(score=CausalInformation()),
    summary="Train, remove the channels that carry least of a disturbance of the input, fine-tune the smaller network.",
    paper="causal-pruning",
)
