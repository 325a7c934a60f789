"""Static sparse training: random weights are removed before training and no weight ever moves.

The control that every way of moving weights must beat, and a good one with densities by Erdős–Rényi: Liu et al., "The
unreasonable effectiveness of random pruning", ICLR 2022. No dense gradient is ever needed.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.drop_and_grow import DropAndGrow
from gossamer.prune.growth import AtRandom

STATIC_ERK = register(
    "static-erk",
    DropAndGrow(grow=AtRandom(), until=0.0),
    summary="Sparse from the start, with random weights that stay where they are.",
    paper="sparsity-survey",
)
