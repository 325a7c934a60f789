"""What decompositions share that see a weight as the matrix (N, C·K), one row an output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gossamer.factorize.decomposition import Decomposition, Shape


@dataclass(frozen=True, kw_only=True)
class MatrixDecomposition(Decomposition):
    """A family within the family: the chain `matrix` of r (C·K + N) weights; members say which r directions stay."""

    @property
    def form(self) -> str:
        """The chain `matrix`."""
        return "matrix"

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns min(N, C·K)."""
        return (min(shape[0], math.prod(shape[1:])),)

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the weight as (N, C·K)."""
        return (weight.flatten(1),)

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns r (C·K + N), times the places: of a convolution, those where the kernel is applied."""
        first = places[-1] if len(shape) > 2 else places[0]
        return ranks[0] * (math.prod(shape[1:]) * first + shape[0] * places[-1])
