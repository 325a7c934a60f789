"""A weight as two thinner ones, cut where the layer's outputs feel it least.

What counts is not ‖W − W̃‖ but what the layer gives on its inputs x, E‖W x − W̃ x‖² = ‖(W − W̃) C^{1/2}‖² with
C = E[x·xᵀ]. The best W̃ of rank r cuts the singular values of W C^{1/2} = U S Vᵀ and takes C^{1/2} off again: W̃ =
U_r S_r V_rᵀ C^{-1/2}. That is U_r U_rᵀ W, so the eigenvectors U_r of W C Wᵀ are all that is needed and C is never
inverted. Zhang, Zou, He & Sun, "Accelerating very deep convolutional networks for classification and detection", TPAMI
2016, project responses the same way. C comes from training batches; a little of the identity is added, so that
directions in which no input was seen are kept in the order of the weight's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.errors import ModelError
from gossamer.factorize.decomposition import split, tail
from gossamer.factorize.low_rank import LowRank
from gossamer.factorize.matrix import MatrixDecomposition
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class WhitenedSVD(MatrixDecomposition):
    """The singular value decomposition of W C^{1/2}: r (C·K + N) weights."""

    name = "whitened-svd"
    by_inputs = True
    damping: float = bounded(1e-6, ge=0.0)  # of the mean square of an input, added to each

    def tails(self, weight: Tensor, products: Tensor | None = None) -> tuple[Tensor, ...]:
        """Returns the squared error of the outputs, summed over the inputs seen."""
        most = self.full(tuple(weight.shape))[0]
        values = self._spectrum(weight, products)[0].clamp(min=0.0)
        return (tail(values[:most].sqrt()),)

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns U_rᵀ W and U_r, balanced."""
        del generator
        after, before = split(self._spectrum(weight, products)[1][:, : ranks[0]], weight.flatten(1))
        return before, after

    def _spectrum(self, weight: Tensor, products: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns eigenvalues and eigenvectors of W C Wᵀ, the largest first."""
        if products is None:
            raise ModelError(f"{self.name} needs the products of the layer's inputs, Σ x·xᵀ; pass products=")
        matrix = weight.flatten(1)
        extra = self.damping * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
        values, vectors = torch.linalg.eigh(matrix @ (products + extra.to(products.device)) @ matrix.T)
        return values.flip(0), vectors.flip(1)


SVD_DATA_AWARE = register(
    "svd-data-aware",
    LowRank(linear=WhitenedSVD(), convolution=WhitenedSVD()),
    summary="As svd, cut where the layers' outputs on training data feel it least.",
    paper="cnn-compression-survey",
)
