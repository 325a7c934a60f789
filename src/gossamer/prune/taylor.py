"""Prunes the weights whose removal changes the loss least, to first order.

Setting a weight w to zero changes the loss by about −w·g. Molchanov, Tyree, Karras, Aila & Kautz, "Pruning
convolutional neural networks for resource efficient inference", ICLR 2017, score by |w·g|;
Molchanov, Mallya, Tyree, Frosio & Kautz, "Importance estimation for neural network pruning", CVPR 2019,
by its square, which is `Taylor(power=2)`. Ours: applied to single weights by default; gradients are
averaged at the moment of pruning over a few batches in eval mode, not gathered during training.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Taylor

TAYLOR = register(
    "taylor",
    HardMasks(score=Taylor(), schedule=OneShot(at=0.5)),
    summary="Train, remove the weights with the smallest |weight x gradient|, retrain the others.",
)
