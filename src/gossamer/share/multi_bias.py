"""Convolutions whose filters come in groups that differ in their biases alone.

Li, Ouyang & Wang, "Multi-bias non-linear activation in deep neural networks", ICML 2016: a feature map is used several
times, each with another bias, and so decoupled into more maps. Ours: a trained network's filters are grouped by
likeness.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.share.transferred import TransferredFilters

MULTI_BIAS = register(
    "multi-bias",
    TransferredFilters(by="same", copies=4),
    summary="Train, group the filters of convolutions, train one filter a group and a bias each.",
    paper="cnn-compression-survey",
)
