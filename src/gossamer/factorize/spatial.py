"""A kernel of K_h × K_w as one over columns and one over rows.

W[n, c, h, w] ≈ Σ_r H[n, r, w] V[r, c, h]: a convolution with kernels K_h × 1 to r channels, then one with 1 × K_w. The
reshaped weight (C·K_h, K_w·N) is a matrix, so its singular value decomposition gives the best pair for each r. Scheme
2 of Jaderberg, Vedaldi & Zisserman, "Speeding up convolutional neural networks with low rank expansions", BMVC 2014;
the closed form is that of Tai, Xiao, Zhang, Wang & E, "Convolutional neural networks with low-rank regularization",
ICLR 2016. 1×1 kernels, and those of one or three axes, are written as linear layers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.factorize.decomposition import Decomposition, Shape, split
from gossamer.factorize.low_rank import LowRank
from gossamer.factorize.svd import SVD


@dataclass(frozen=True, kw_only=True)
class Spatial(Decomposition):
    """The separable kernels of a 2-D convolution: r (C·K_h + K_w·N) weights."""

    name = "spatial"

    @property
    def form(self) -> str:
        """The chain `separable`."""
        return "separable"

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns min(C·K_h, K_w·N)."""
        outputs, inputs, height, width = shape
        return (min(inputs * height, width * outputs),)

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the weight as (C·K_h, K_w·N)."""
        _, inputs, height, _ = weight.shape
        return (weight.permute(1, 2, 3, 0).reshape(inputs * height, -1),)

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns r (C·K_h + K_w·N), times the places after one axis and after both."""
        outputs, inputs, height, width = shape
        return ranks[0] * (inputs * height * places[1] + width * outputs * places[2])

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns V as (r, C, K_h, 1) and H as (N, r, 1, K_w)."""
        del products, generator
        outputs, inputs, height, width = weight.shape
        (matrix,) = self.unfoldings(weight)
        columns, rows = split(torch.linalg.svd(matrix, full_matrices=False)[0][:, : ranks[0]], matrix)
        return (
            columns.T.reshape(-1, inputs, height, 1),
            rows.reshape(-1, width, outputs).permute(2, 0, 1).unsqueeze(2),
        )


SPATIAL = register(
    "spatial",
    LowRank(linear=SVD(), convolution=Spatial()),
    summary="Train, write each kernel as one over its columns and one over its rows, train on.",
    paper="cnn-compression-survey",
)
