"""Convolutions with filters that are turned and mirrored copies of a few, and the pooling over those copies.

The outputs of a filter and its turned copies on an image are those of the filter on the turned images, turned back. So
pooling over the copies commutes with turning the image: the layer need not learn a pattern once for each direction.
Dieleman, De Fauw & Kavukcuoglu, "Exploiting cyclic symmetry in convolutional neural networks", ICML 2016, where images
are turned in place of filters; Cohen & Welling, "Group equivariant convolutional networks", ICML 2016, first layer.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.nn.sharing.transferred import symmetries


class TurnedConv2d(nn.Module):
    """A convolution of `filters` filters in all their turns: filters · C · k² weights for |T| · filters outputs.

    Args:
        in_channels: C.
        filters: How many there are to turn.
        kernel_size: k; odd, so that the middle stays where it is.
        flips: Whether mirror images belong to it: |T| is then 8, and 4 otherwise.
        bias: Whether filters have one, which their copies share.
    """

    def __init__(
        self, in_channels: int, filters: int, kernel_size: int = 3, *, flips: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        if min(in_channels, filters) < 1 or kernel_size < 1 or kernel_size % 2 == 0:
            raise ModelError(
                f"TurnedConv2d: {in_channels} channels, {filters} filters, kernel {kernel_size}; expected at least 1 "
                "of each and an odd kernel"
            )
        self.transformations = symmetries(turns=True, flips=flips)
        self.size = len(self.transformations)
        self.weight = nn.Parameter(torch.empty(filters, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.bias = nn.Parameter(torch.zeros(filters)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, filters · |T|, H, W), all copies of a filter side by side."""
        bank = torch.stack([turned(self.weight) for turned in self.transformations], 1).flatten(0, 1)
        bias = None if self.bias is None else self.bias.repeat_interleave(self.size)
        return F.conv2d(x, bank, bias, padding=self.weight.shape[-1] // 2)

    def extra_repr(self) -> str:
        """Names the sizes."""
        filters, channels, kernel, _ = self.weight.shape
        return f"{channels}, {filters}, kernel_size={kernel}, copies={self.size}"


class CyclicPool(nn.Module):
    """Pools over the copies of each filter: (N, filters · size, H, W) to (N, filters, H, W).

    Args:
        size: How many copies stand side by side, |T|.
        how: The largest of them, or their mean.
    """

    def __init__(self, size: int, how: Literal["max", "mean"] = "max") -> None:
        super().__init__()
        if size < 1 or how not in {"max", "mean"}:
            raise ModelError(f"CyclicPool: size {size}, how {how!r}; expected at least 1, and 'max' or 'mean'")
        self.size, self.how = size, how

    def forward(self, x: Tensor) -> Tensor:
        """Returns the pooled channels."""
        if x.shape[1] % self.size:
            raise ModelError(f"CyclicPool: {x.shape[1]} channels are no multiple of {self.size} copies")
        copies = x.reshape(x.shape[0], -1, self.size, *x.shape[2:])
        return copies.amax(2) if self.how == "max" else copies.mean(2)

    def extra_repr(self) -> str:
        """Names size and kind."""
        return f"size={self.size}, how={self.how!r}"
