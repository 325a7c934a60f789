"""A convolution as 1×1 to r channels, a small core over the kernel to s channels, and 1×1 to the outputs.

W[n, c, ·] ≈ Σ_{r,s} U[n, s] G[s, r, ·] V[c, r]: Tucker's decomposition in the two modes that are long. U and V begin
as the leading singular vectors of the two unfoldings (HOSVD) and are improved in turns, each the best for the other
(HOOI; De Lathauwer, De Moor & Vandewalle, "On the best rank-1 and rank-(R1, ..., RN) approximation of higher-order
tensors", SIAM J. Matrix Anal. Appl., 2000), which never makes the error larger. Kim, Park, Yoo, Choi, Yang & Shin,
"Compression of deep convolutional neural networks for fast and low power mobile applications", ICLR 2016; their ranks
by variational Bayes are the ceiling `vbmf`. The loss of a pair of ranks is taken as the sum of the two tails, which it
never exceeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.factorize.decomposition import Decomposition, Shape
from gossamer.factorize.low_rank import LowRank
from gossamer.factorize.svd import SVD
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Tucker(Decomposition):
    """Tucker-2: ranks (r, s) of the inputs and of the outputs; C·r + K·r·s + N·s weights."""

    name = "tucker"
    iterations: int = bounded(10, ge=0)  # of HOOI at most; 0 leaves HOSVD
    tolerance: float = bounded(1e-6, ge=0.0)  # HOOI ends where the error falls by less than this part of the weight's

    @property
    def form(self) -> str:
        """The chain `tucker`."""
        return "tucker"

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns min(C, N·K) and min(N, C·K)."""
        return tuple(min(one, math.prod(shape) // one) for one in (shape[1], shape[0]))

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the weight as (C, N·K) and as (N, C·K)."""
        return weight.transpose(0, 1).flatten(1), weight.flatten(1)

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns C·r + K·r·s + N·s, times the places before and after the kernel."""
        outputs, inputs, *kernel = shape
        inner, outer = ranks
        return inputs * inner * places[0] + (math.prod(kernel) * inner * outer + outputs * outer) * places[-1]

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns Vᵀ (r, C), the core (s, r, ...) and U (N, s)."""
        del products, generator
        of_inputs, of_outputs = self.unfoldings(weight)
        inner, outer = _leading(of_inputs, ranks[0]), _leading(of_outputs, ranks[1])
        kept = _core(weight, inner, outer).square().sum()
        for _ in range(self.iterations):
            outer = _leading(_along(weight, inner, 1).flatten(1), ranks[1])
            inner = _leading(_along(weight, outer, 0).transpose(0, 1).flatten(1), ranks[0])
            before, kept = kept, _core(weight, inner, outer).square().sum()
            if kept - before <= self.tolerance * weight.square().sum():
                break
        return inner.T, _core(weight, inner, outer), outer


def _leading(matrix: Tensor, rank: int) -> Tensor:
    """Returns the first left singular vectors, (M, rank); any that complete the basis where the matrix has fewer."""
    vectors: Tensor = torch.linalg.eigh(matrix @ matrix.T)[1]
    return vectors.flip(1)[:, :rank]


def _along(weight: Tensor, basis: Tensor, mode: int) -> Tensor:
    """Returns the weight with one mode seen in a basis."""
    seen: Tensor = torch.tensordot(weight, basis, dims=([mode], [0]))
    return seen.movedim(-1, mode)


def _core(weight: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    return _along(_along(weight, inner, 1), outer, 0)


TUCKER = register(
    "tucker",
    LowRank(linear=SVD(), convolution=Tucker()),
    summary="Train, write each convolution as a small core between two changes of channels, train on.",
    paper="cnn-compression-survey",
)
