"""Presses the channels that are to go towards zero ever harder before they go, so that the others take over.

Wang, Qin, Zhang & Fu, "Neural pruning via growing regularization", ICLR 2021, on groups of channels that hang together:
all weights of a group's unit are pressed, as in the group sparsity of DepGraph (Fang et al., CVPR 2023).
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.pressure import GrowingPressure
from gossamer.prune.schedules import OneShot

GROWING_CHANNELS = register(
    "growing-channels",
    ChannelPruning(pressure=GrowingPressure(), schedule=OneShot(at=0.6)),
    summary="Train, choose the smallest channels, press them towards zero ever harder, remove them, fine-tune.",
)
