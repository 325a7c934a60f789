"""A convolution through fewer channels: a 1×1 convolution before it, or after it.

Where the outputs depend on each other, the weight as (N, C·K) has low rank: a K convolution to r channels, then 1×1 to
N. Where the inputs do, it is the weight as (C, N·K): 1×1 to r, then K to N. The two schemes differ in weights, r (C·K +
N) and r (C + N·K), and where the convolution has a stride also in where the 1×1 layer works; `either` takes, layer by
layer, what loses least. Zhang, Zou, He & Sun, "Accelerating very deep convolutional networks for classification and
detection", TPAMI 2016, for the first; Denton et al., NIPS 2014, §3.3, for the second, here without their clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.factorize.decomposition import Decomposition, Shape, split
from gossamer.factorize.low_rank import LowRank
from gossamer.factorize.svd import SVD


@dataclass(frozen=True, kw_only=True)
class Channels(Decomposition):
    """The singular value decomposition along a convolution's inputs, its outputs, or the better of the two."""

    name = "channels"
    order: Literal["either", "inputs", "outputs"] = "either"  # where the channels grow fewer

    @property
    def form(self) -> str:
        """The chain `inputs`, or `matrix` for the outputs."""
        return "inputs" if self.order == "inputs" else "matrix"

    def alternatives(self) -> tuple[Decomposition, ...]:
        """Returns one decomposition for each order."""
        return (Channels(order="inputs"), Channels(order="outputs")) if self.order == "either" else (self,)

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns min(C, N·K), or min(N, C·K)."""
        one = shape[1] if self.order == "inputs" else shape[0]
        return (min(one, math.prod(shape) // one),)

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the weight as (C, N·K), or (N, C·K)."""
        return ((weight.transpose(0, 1) if self.order == "inputs" else weight).flatten(1),)

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns r (C + N·K) or r (C·K + N), times the places."""
        outputs, inputs, *kernel = shape
        size, first, last = math.prod(kernel), places[0], places[-1]
        if self.order == "inputs":
            return ranks[0] * (inputs * first + outputs * size * last)
        return ranks[0] * (inputs * size + outputs) * last

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns (r, C) and (N, r, ...), or (r, C, ...) and (N, r)."""
        del products, generator
        (matrix,) = self.unfoldings(weight)
        outer, inner = split(torch.linalg.svd(matrix, full_matrices=False)[0][:, : ranks[0]], matrix)
        if self.order == "inputs":
            return outer.T, inner.reshape(-1, weight.shape[0], *weight.shape[2:]).transpose(0, 1)
        return inner, outer


CHANNEL_SVD = register(
    "channel-svd",
    LowRank(linear=SVD(), convolution=Channels()),
    summary="Train, lead each convolution through few channels, before its kernel or after it, train on.",
    paper="cnn-compression-survey",
)
