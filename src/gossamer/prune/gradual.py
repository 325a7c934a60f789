"""Gradual magnitude pruning: sparsity rises along a cubic while the network trains.

Zhu & Gupta, "To prune, or not to prune", 2017, eq. (1): s_t = s·(1 − (1 − τ)³), with τ from 0 to 1 over the
pruning period. Most weights go early, when there are many to spare, and the network recovers between steps.
Ours: the period is a fraction of the training (the first 70 % by default), and pruned weights never return.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import Cubic
from gossamer.prune.scores import Magnitude

GRADUAL = register(
    "gradual",
    HardMasks(score=Magnitude(), schedule=Cubic()),
    summary="Remove the smallest weights little by little while training, along a cubic.",
    paper="gnn-sparsification",
)
