"""Weights of a layer that are the same number, up to a sign: which, and what training does to them together."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


class Tie:
    """A layer's weights as W[i] = sign[i] · values[group[i]]; a weight whose group is `groups` is zero.

    Args:
        group: int64, in the shape of the weight, in [0, groups].
        groups: How many different numbers there are.
        sign: ±1 in the shape of the weight, float; None where all are +1.
    """

    def __init__(self, group: Tensor, groups: int, sign: Tensor | None = None) -> None:
        self.group, self.groups, self.sign = group, groups, sign

    @functools.cached_property
    def counts(self) -> Tensor:
        """How many weights are in each group, (groups,) int64."""
        return torch.bincount(self.group.reshape(-1), minlength=self.groups + 1)[: self.groups]

    def to(self, device: torch.device) -> Tie:
        """Returns the tie on a device."""
        return Tie(self.group.to(device), self.groups, None if self.sign is None else self.sign.to(device))

    def spread(self, values: Tensor) -> Tensor:
        """Returns the weight that follows from `values` (groups,); differentiable."""
        padded = torch.cat([values, values.new_zeros(1)])
        weight = padded[self.group]
        return weight if self.sign is None else weight * self.sign.to(weight.dtype)

    def sums(self, gradient: Tensor) -> Tensor:
        """Returns the gradient of each of the values from that of the weight: its group's sum, signs taken off."""
        return self._sum(gradient if self.sign is None else gradient * self.sign).to(gradient.dtype)

    def means(self, weight: Tensor) -> Tensor:
        """Returns the values whose weight is nearest to `weight`: each group's mean, 0 where it has no member."""
        totals = self._sum(weight if self.sign is None else weight * self.sign)
        return (totals / self.counts.clamp(min=1)).to(weight.dtype)

    def _sum(self, numbers: Tensor) -> Tensor:
        """Returns the sum of each group in double precision, one after another so that it is always the same."""
        totals = torch.bincount(self.group.reshape(-1), numbers.detach().double().reshape(-1), self.groups + 1)
        return totals[: self.groups]
