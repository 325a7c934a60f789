"""Magnitude pruning in blocks of 16 output rows that share the columns they use.

One load of an input then serves 16 outputs, one vector register, so the zeros are fast and not only small.
The grouping is that of Zhao et al., "Architecture aware latency constrained sparse neural networks", 2021,
section on SIMD-structured pruning, whose groups of 4 or 8 match narrower registers; groups are ranked by
their Euclidean norm.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.granularity import SIMDBlocks
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Magnitude

SIMD = register(
    "magnitude-simd",
    HardMasks(score=Magnitude(power=2.0), granularity=SIMDBlocks(), schedule=OneShot(at=0.5)),
    summary="Train, remove columns of 16 rows together so that a vector register stays full, retrain.",
)
