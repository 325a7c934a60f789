"""Convolutions whose filters are four turns of a quarter as many.

After Dieleman, De Fauw & Kavukcuoglu, "Exploiting cyclic symmetry in convolutional neural networks", ICML 2016, whose
cyclic pooling over the turns is `nn.CyclicPool`. As a method on a network as it is, the turned filters are outputs of
their own, which saves numbers and no arithmetic. `by="turn and flip"` takes all eight symmetries of the square.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.share.transferred import TransferredFilters

ROTATED = register(
    "rotated",
    TransferredFilters(by="turn"),
    summary="Train, make the filters of convolutions turns of a quarter as many, train those.",
    paper="cnn-compression-survey",
)
