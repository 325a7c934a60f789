"""A weight as two thinner ones, by its singular values.

W = U S Vᵀ, cut to the r largest singular values, becomes two layers with the weights S_r^{1/2} V_rᵀ and U_r S_r^{1/2};
no matrix of rank r is nearer to W (Eckart & Young, "The approximation of one matrix by another of lower rank", 1936).
For linear layers after Denton, Zaremba, Bruna, LeCun & Fergus, "Exploiting linear structure within convolutional
networks for efficient evaluation", NIPS 2014. A convolution counts as its matrix (N, C·K): a convolution to r channels,
then one of 1×1 to N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.factorize.decomposition import split
from gossamer.factorize.low_rank import LowRank
from gossamer.factorize.matrix import MatrixDecomposition


@dataclass(frozen=True, kw_only=True)
class SVD(MatrixDecomposition):
    """The singular value decomposition of the matrix with one row an output: r (C·K + N) weights."""

    name = "svd"

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns S^{1/2} Vᵀ and U S^{1/2}."""
        del products, generator
        matrix = weight.flatten(1)
        after, before = split(torch.linalg.svd(matrix, full_matrices=False)[0][:, : ranks[0]], matrix)
        return before, after


LOW_RANK_SVD = register(
    "svd",
    LowRank(linear=SVD(), convolution=SVD()),
    summary="Train, write each weight as two thinner ones by its singular values, train on.",
    paper="cnn-compression-survey",
)
