"""Pulls weights towards low rank while they are still whole, so that cutting them costs less.

| penalty | added to the loss |
|---|---|
| `NuclearNorm` | strength · Σ_i s_i, the convex relaxation of the rank |
| `TailEnergy` | strength · Σ_{i > r} s_i² / Σ_i s_i², what a cut to rank r would lose |

s are the singular values of each unfolding of each layer whose rank will be cut. The rank r of `TailEnergy` is the
highest at which the layer has the share of its weights that the method leaves the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Penalty(Settings):
    """A family: what a weight's singular values add to the loss."""

    strength: float = bounded(1e-3, ge=0.0)

    def of(self, matrix: Tensor, rank: int) -> Tensor:
        """Returns the penalty of one unfolding (M, L), a scalar with a gradient.

        Args:
            matrix: The unfolding.
            rank: The rank that it is to have.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define of()")


@dataclass(frozen=True, kw_only=True)
class NuclearNorm(Penalty):
    """The sum of the singular values."""

    name = "nuclear-norm"

    def of(self, matrix: Tensor, rank: int) -> Tensor:
        """Returns strength · Σ_i s_i."""
        del rank
        values: Tensor = torch.linalg.svdvals(matrix)
        return self.strength * values.sum()


@dataclass(frozen=True, kw_only=True)
class TailEnergy(Penalty):
    """The part of the energy beyond the rank."""

    name = "tail-energy"
    strength: float = bounded(0.1, ge=0.0)

    def of(self, matrix: Tensor, rank: int) -> Tensor:
        """Returns strength · Σ_{i > rank} s_i² / Σ_i s_i²."""
        values: Tensor = torch.linalg.svdvals(matrix)
        squares = values.square()
        return self.strength * squares[rank:].sum() / squares.sum().clamp(min=1e-30)
