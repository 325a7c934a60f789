r"""What a unit of a group is worth: higher = keep.

| score | worth of a unit | source |
|---|---|---|
| `GroupMagnitude` | mean over members of Σ \|w\|^p over the unit's weights | Fang et al., "DepGraph", CVPR 2023 |
| `GroupTaylor` | \|Σ w·g\|^p over the unit's weights in all members, mean over batches | Molchanov et al., CVPR 2019 |
| `GroupRandom` | a uniform number | the control of every comparison |

Others have a file of their own: `curvature`, `norm_scale`, `geometric_median`, `chip`, `causal`. A member is a
dimension of a parameter along which the group lies: the rows of a layer that makes the unit, the columns of one that
uses it, the scale of a norm between. Buffers, such as running statistics, have no say.

A score is a value of its own: any plan, any method that removes units, and any schedule takes it. One that looks at
each group alone defines `score`; one that looks at all of them at once defines `scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gossamer.settings import Settings, bounded
from gossamer.structure.groups import Group, Member
from gossamer.structure.observer import Observer


@dataclass(frozen=True, kw_only=True)
class GroupScore(Settings):
    """A family: what the units of a group are worth."""

    passes: ClassVar[float] = 0.0  # what looking at one batch takes, in dense forward passes

    def scores(self, groups: Sequence[Group], observer: Observer) -> Mapping[Group, Tensor]:
        """Returns the scores of each group; one that it cannot see is left out, and keeps all units.

        Args:
            groups: Those that may lose units, in the order of the network's parameters.
            observer: What there is to look at.

        Raises:
            SettingError: It needs losses, and the observer has none.
        """
        return {group: self.score(group, observer) for group in groups}

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns one score a unit, (units,) float64; higher = keep."""
        raise TypeError(f"{type(self).__name__} is abstract: define score() or scores()")


@dataclass(frozen=True, kw_only=True)
class GroupMagnitude(GroupScore):
    """Mean over members of the sum of |w|^power; by default 2, the square of the Euclidean norm."""

    name = "magnitude"
    power: float = bounded(2.0, gt=0.0)

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns the mean over members."""
        sums = []
        for member, weight in observer.members(group):
            others = [dim for dim in range(weight.dim()) if dim != member.dim]
            along = torch.linalg.vector_norm(weight, self.power, dim=others) if others else weight.abs()
            sums.append(added(member, along.double() ** self.power, group.size))
        return torch.stack(sums).mean(0)


@dataclass(frozen=True, kw_only=True)
class GroupTaylor(GroupScore):
    """|Σ w·g|^power over all members: to first order, the change of the loss without the unit."""

    name = "taylor"
    passes = 3.0
    power: float = bounded(2.0, gt=0.0)

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns the mean over batches."""
        changes = [
            group_sums(group, {name: observer.parameters[name] * gradient for name, gradient in gradients.items()})
            for gradients in observer.gradients(self.name)
        ]
        return torch.stack([change.abs() ** self.power for change in changes]).mean(0)


@dataclass(frozen=True, kw_only=True)
class GroupRandom(GroupScore):
    """A uniform number in [0, 1)."""

    name = "random"

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns numbers from the observer's generator."""
        return torch.rand(group.size, generator=observer.generator, dtype=torch.float64)


def group_sums(group: Group, values: Mapping[str, Tensor]) -> Tensor:
    """Returns the sum over all members of a group of `values`, by name of parameter, for each unit, (size,) float64."""
    total = torch.zeros(group.size, dtype=torch.float64)
    for member in group.members:
        if member.tensor in values:
            total += unit_sums(member, values[member.tensor], group.size)
    return total


def unit_sums(member: Member, values: Tensor, size: int) -> Tensor:
    """Returns the sum of `values`, shaped as the member's tensor, over the positions of each unit, (size,) float64."""
    others = [dim for dim in range(values.dim()) if dim != member.dim]
    values = values.detach()
    return added(member, values.sum(others, dtype=torch.float64) if others else values.double(), size)


def added(member: Member, along: Tensor, size: int) -> Tensor:
    """Returns the sums of one number a position of the member's dimension over those of each unit, (size,) float64."""
    of_units = torch.zeros(size + 1, dtype=torch.float64)  # the last place takes what belongs to no unit
    of_units.index_add_(0, torch.where(member.units < 0, size, member.units), along.cpu())
    return of_units[:size]
