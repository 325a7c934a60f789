"""Weights of a layer that are the same number, up to a factor: which, and what training does to them together."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


class Tie:
    """A layer's weights as W[i] = factor[i] · values[group[i]]; a weight whose group is `groups` is zero.

    Args:
        group: int64, in the shape of the weight, in [0, groups].
        groups: How many different numbers there are.
        factor: In the shape of the weight, float, as a rule ±1; None where all are 1.
    """

    def __init__(self, group: Tensor, groups: int, factor: Tensor | None = None) -> None:
        self.group, self.groups, self.factor = group, groups, factor

    @functools.cached_property
    def counts(self) -> Tensor:
        """How many weights are in each group, (groups,) int64."""
        return torch.bincount(self.group.reshape(-1), minlength=self.groups + 1)[: self.groups]

    def to(self, device: torch.device) -> Tie:
        """Returns the tie on a device."""
        return Tie(self.group.to(device), self.groups, None if self.factor is None else self.factor.to(device))

    def spread(self, values: Tensor) -> Tensor:
        """Returns the weight that follows from `values` (groups,); differentiable."""
        padded = torch.cat([values, values.new_zeros(1)])
        weight = padded[self.group]
        return weight if self.factor is None else weight * self.factor.to(weight.dtype)

    def sums(self, gradient: Tensor) -> Tensor:
        """Returns the gradient of each of the values from that of the weight: its group's sum, times the factors."""
        return self._sum(gradient if self.factor is None else gradient * self.factor).to(gradient.dtype)

    def means(self, weight: Tensor) -> Tensor:
        """Returns the values whose weight is nearest to `weight`, 0 where a group has no member.

        They are Σ factor · W / Σ factor² of each group: its mean, for factors of ±1.
        """
        if self.factor is None:
            return (self._sum(weight) / self.counts.clamp(min=1)).to(weight.dtype)
        squares = self._sum(self.factor.square())
        return (self._sum(weight * self.factor) / torch.where(squares > 0, squares, 1.0)).to(weight.dtype)

    def _sum(self, numbers: Tensor) -> Tensor:
        """Returns the sum of each group in double precision, one after another so that it is always the same."""
        totals = torch.bincount(self.group.reshape(-1), numbers.detach().double().reshape(-1), self.groups + 1)
        return totals[: self.groups]
