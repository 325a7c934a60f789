"""The highest rank that a layer may take, whatever the sparsity: by energy, by number, by fraction, by Bayes.

| ceiling | rank of a matrix with singular values s |
|---|---|
| `Energy` | the least r with Σ_{i ≤ r} s_i² ≥ keep · Σ s_i² |
| `Rank` | the number given |
| `Fraction` | that fraction of the full rank, rounded up |
| `VBMF` | the number of s_i that stand out from noise (`vbmf`) |

With sparsity 0 the ceiling alone decides; otherwise ranks go down from it until the sparsity is reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from gossamer.factorize.decomposition import Decomposition
from gossamer.factorize.vbmf import vbmf_rank
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Ceiling(Settings):
    """A family: the highest ranks of a layer."""

    def ranks(self, how: Decomposition, weight: Tensor, tails: Sequence[Tensor]) -> tuple[int, ...]:
        """Returns the highest value of each rank, at least 1 and at most the full one.

        Args:
            how: The decomposition.
            weight: (N, C, ...), float64.
            tails: What it loses at each rank, as `Decomposition.tails` says.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define ranks()")


@dataclass(frozen=True, kw_only=True)
class Energy(Ceiling):
    """As much rank as keeps a fraction of the energy."""

    name = "energy"
    keep: float = bounded(0.9, gt=0.0, le=1.0)

    def ranks(self, how: Decomposition, weight: Tensor, tails: Sequence[Tensor]) -> tuple[int, ...]:
        """Returns the least ranks at which the loss is at most (1 − keep) of the whole."""
        del how, weight
        slack = 1.0 - self.keep + 1e-12
        return tuple(max(1, int((tail > slack * tail[0]).sum())) for tail in tails)


@dataclass(frozen=True, kw_only=True)
class Rank(Ceiling):
    """A fixed rank."""

    name = "rank"
    most: int = bounded(16, ge=1)

    def ranks(self, how: Decomposition, weight: Tensor, tails: Sequence[Tensor]) -> tuple[int, ...]:
        """Returns the number, or the full rank where that is less."""
        del tails
        return tuple(min(self.most, full) for full in how.full(tuple(weight.shape)))


@dataclass(frozen=True, kw_only=True)
class Fraction(Ceiling):
    """A fraction of the full rank."""

    name = "fraction"
    of_full: float = bounded(0.25, gt=0.0, le=1.0)

    def ranks(self, how: Decomposition, weight: Tensor, tails: Sequence[Tensor]) -> tuple[int, ...]:
        """Returns the fraction, rounded up."""
        del tails
        return tuple(math.ceil(self.of_full * full) for full in how.full(tuple(weight.shape)))


@dataclass(frozen=True, kw_only=True)
class VBMF(Ceiling):
    """What variational Bayes takes for signal; of one rank that bounds several unfoldings, the most of theirs."""

    name = "vbmf"

    def ranks(self, how: Decomposition, weight: Tensor, tails: Sequence[Tensor]) -> tuple[int, ...]:
        """Returns the ranks of the unfoldings, at least 1."""
        del tails
        found = [
            max(1, vbmf_rank(torch.linalg.svdvals(matrix), cast("tuple[int, int]", tuple(matrix.shape))))
            for matrix in how.unfoldings(weight)
        ]
        full = how.full(tuple(weight.shape))
        return tuple(found) if len(full) == len(found) else (min(max(found), *full),)
