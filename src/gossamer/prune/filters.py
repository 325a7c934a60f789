"""Magnitude pruning of whole filters: all weights of an output, and its bias.

A filter that is zero needs no kernel to be skipped: the layer is simply narrower. Li, Kadav, Durdanovic,
Samet & Graf, "Pruning filters for efficient ConvNets", ICLR 2017, section 3. Filters are ranked by their mean
|w|. Ours: one round in the middle of the training; the last layer keeps its outputs, which are the answers.
Filters are zeroed, not cut out: shapes stay.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.granularity import Filters
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Magnitude

FILTERS = register(
    "magnitude-filters",
    HardMasks(sparsity=0.5, score=Magnitude(), granularity=Filters(), schedule=OneShot(at=0.5)),
    summary="Train, remove the filters with the smallest weights whole, retrain.",
)
