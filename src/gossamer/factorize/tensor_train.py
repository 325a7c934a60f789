"""A convolution as a train of small ones: 1×1 to r_1 channels, one over each axis of the kernel, 1×1 to the outputs.

W[n, c, h, w] ≈ Σ A[c, r_1] B[r_1, h, r_2] D[r_2, w, r_3] E[r_3, n]: every mode has a factor of its own, which is joined
to the next one by a rank. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput., 2011, whose TT-SVD cuts the
modes off one after another: what is left after each cut is written as a product by its leading singular vectors. The
squared error is at most the sum of what the unfoldings W_(c | h w n), W_(c h | w n), W_(c h w | n) lose at their ranks.
Ours: the factors on both sides of a rank share their norms about equally in the end, as training likes.
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


@dataclass(frozen=True, kw_only=True)
class TensorTrain(Decomposition):
    """A train of as many ranks as the kernel has axes, and one: C·r_1 + Σ r_i K_i r_{i+1} + N·r_last weights."""

    name = "tensor-train"

    @property
    def form(self) -> str:
        """The chain `train`."""
        return "train"

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns, for each rank, the smaller side of its unfolding."""
        modes = (*shape[1:], shape[0])
        return tuple(min(math.prod(modes[:cut]), math.prod(modes[cut:])) for cut in range(1, len(modes)))

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the weight as (C, K·N), (C·K_1, ...·N), ..., (C·K, N)."""
        train = weight.movedim(0, -1)
        return tuple(train.reshape(math.prod(train.shape[:cut]), -1) for cut in range(1, train.dim()))

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns C·r_1 + Σ r_i K_i r_{i+1} + N·r_last, each at its places."""
        outputs, inputs, *kernel = shape
        along = sum(
            before * size * after * place
            for before, size, after, place in zip(ranks[:-1], kernel, ranks[1:], places[1:], strict=True)
        )
        return inputs * ranks[0] * places[0] + along + outputs * ranks[-1] * places[-1]

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns (r_1, C), an (r_{i+1}, r_i, K_i) for each axis, and (N, r_last)."""
        del products, generator
        rest, before = weight.movedim(0, -1), 1
        train: list[Tensor] = []  # (rank before, mode, rank after) each
        for mode, after in zip(weight.shape[1:], ranks, strict=True):
            left, rest = _cut(rest.reshape(before * mode, -1), after)
            train.append(left.view(before, mode, after))
            before = after
        train.append(rest.view(before, -1, 1))
        _balance(train)
        first, *between, last = train
        return first[0].T, *(core.permute(2, 0, 1) for core in between), last[:, :, 0].T


def _cut(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Returns factors (M, rank) and (rank, L) of the leading singular vectors; zeros where there are fewer."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    missing = max(0, rank - len(values))
    columns = torch.nn.functional.pad(left[:, :rank], (0, missing))
    rows = torch.nn.functional.pad((values[:, None] * right)[:rank], (0, 0, 0, missing))
    return columns, rows


def _balance(train: list[Tensor]) -> None:
    """Gives both sides of each rank equal norms, one rank after the other."""
    for place in range(len(train) - 1):
        left, right = train[place].flatten(0, 1).norm(dim=0), train[place + 1].flatten(1).norm(dim=1)
        share = torch.where((left > 0) & (right > 0), (right / left).sqrt(), torch.ones_like(left))
        train[place] = train[place] * share
        train[place + 1] = train[place + 1] / share[:, None, None]


TENSOR_TRAIN = register(
    "tensor-train",
    LowRank(linear=SVD(), convolution=TensorTrain()),
    summary="Train, write each convolution as a train of thin ones, one along each axis of the kernel, train on.",
    paper="cnn-compression-survey",
)
