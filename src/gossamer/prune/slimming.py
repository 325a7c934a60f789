"""Trains under an L1 penalty on the scales of norms, removes the channels with the smallest scales, fine-tunes.

Liu, Li, Shen, Huang, Yan & Zhang, "Learning efficient convolutional networks through network slimming", ICCV 2017:
scales are compared over the whole network, so layers lose different shares.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.pressure import ScalePenalty
from gossamer.structure import AllTogether, NormScale

SLIMMING = register(
    "slimming",
    ChannelPruning(score=NormScale(), allocation=AllTogether(), pressure=ScalePenalty()),
    summary="Train with small scales of norms, remove the channels with the smallest ones anywhere, fine-tune.",
)
