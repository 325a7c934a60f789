"""Train, prune the smallest weights, retrain.

Weights near zero change the output least, and training tells which those are. Han, Pool, Tran & Dally,
"Learning both weights and connections for efficient neural networks", NeurIPS 2015. Half of the epochs train
densely, half retrain with the removed weights held at zero. Ours: one sparsity for the whole network, the
same in every layer, instead of a hand-set threshold for each.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Magnitude

MAGNITUDE = register(
    "magnitude",
    HardMasks(score=Magnitude(), schedule=OneShot(at=0.5)),
    summary="Train, remove the smallest weights at half time, retrain the others.",
    paper="gnn-sparsification",
)
