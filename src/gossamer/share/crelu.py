"""Convolutions with half of the filters, each used once more with the opposite sign.

Shang, Sohn, Almeida & Lee, "Understanding and improving convolutional neural networks via concatenated rectified linear
units", ICML 2016: filters come in pairs that are nearly opposite, so ReLU of y and of -y is had for one convolution.
Ours: a trained network's filters are paired by how opposite they are, and each output keeps a bias of its own.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.share.transferred import TransferredFilters

CRELU = register(
    "crelu",
    TransferredFilters(by="negate"),
    summary="Train, pair the filters of convolutions as opposites of one another, train one of each pair.",
    paper="cnn-compression-survey",
)
