"""Float layers that a coded layer must agree with, and the inputs to try them on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Channels around the word of signs (32) and of bytes (4); strides, padding and dilation that differ by axis.
CONVOLUTIONS = [
    {"in_channels": 3, "out_channels": 5, "kernel_size": 3, "padding": 1},
    {"in_channels": 33, "out_channels": 17, "kernel_size": 1},
    {"in_channels": 8, "out_channels": 4, "kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 2)},
    {"in_channels": 4, "out_channels": 1, "kernel_size": 3, "padding": 2, "dilation": (1, 2), "bias": False},
]


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Returns float32 normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Returns a linear layer with normal weights."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(normal(outputs, inputs, seed=1))
    return layer


def convolve(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns the convolution that moves like `layer`, in float64."""
    bias = None if bias is None else bias.double()
    steps = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    return nn.functional.conv2d(x.double(), weight.double(), bias, **steps)
