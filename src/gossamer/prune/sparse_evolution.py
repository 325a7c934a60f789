"""SET: sparse from the start; drops the weights nearest to zero on either side, grows anywhere.

Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
network science", Nature Communications 2018. No dense gradient is ever needed, so every step costs what the
sparse network costs. Half of the dropped weights are the smallest positive ones, half the largest negative
ones. Ours: the dropped fraction anneals as for RigL, where the paper holds it at 0.3 (`first=0.3, last=0.3`).
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.drop_and_grow import DropAndGrow
from gossamer.prune.growth import AtRandom
from gossamer.prune.scores import SignedRank

SET = register(
    "set",
    DropAndGrow(drop=SignedRank(), grow=AtRandom()),
    summary="Sparse from the start: drop the weights nearest to zero, grow anywhere.",
    paper="gnn-sparsification",
)
