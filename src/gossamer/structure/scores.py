r"""What a unit of a group is worth: higher = keep.

| score | worth of a unit | source |
|---|---|---|
| `GroupMagnitude` | mean over members of Σ \|w\|^p over the unit's weights | Fang et al., "DepGraph", CVPR 2023 |
| `GroupTaylor` | \|Σ w·g\|^p over the unit's weights in all members, mean over batches | Molchanov et al., CVPR 2019 |
| `GroupRandom` | a uniform number | the control of every comparison |

A member is a dimension of a parameter along which the group lies: the rows of a layer that makes the unit, the columns
of one that uses it, the scale of a norm between. Buffers, such as running statistics, have no say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gossamer.settings import Settings, bounded
from gossamer.structure.groups import Group, Member

Gradients = Iterator[Mapping[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class GroupScore(Settings):
    """A family: what the units of a group are worth."""

    needs_gradient: ClassVar[bool] = False

    def score(
        self,
        group: Group,
        parameters: Mapping[str, Tensor],
        gradients: list[Mapping[str, Tensor]],
        generator: torch.Generator,
    ) -> Tensor:
        """Returns one score a unit, (units,) float64; higher = keep.

        Args:
            group: What is scored.
            parameters: The network's, by their first names; buffers are absent.
            gradients: Of each batch, by the same names; empty unless `needs_gradient`.
            generator: On the CPU; the source of chance.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define score()")


@dataclass(frozen=True, kw_only=True)
class GroupMagnitude(GroupScore):
    """Mean over members of the sum of |w|^power; by default 2, the square of the Euclidean norm."""

    name = "magnitude"
    power: float = bounded(2.0, gt=0.0)

    def score(
        self,
        group: Group,
        parameters: Mapping[str, Tensor],
        gradients: list[Mapping[str, Tensor]],
        generator: torch.Generator,
    ) -> Tensor:
        """Returns the mean over members."""
        del gradients, generator
        members = [member for member in group.members if member.tensor in parameters]
        sums = [unit_sums(member, parameters[member.tensor].abs() ** self.power, group.size) for member in members]
        return torch.stack(sums).mean(0)


@dataclass(frozen=True, kw_only=True)
class GroupTaylor(GroupScore):
    """|Σ w·g|^power over all members: to first order, the change of the loss without the unit."""

    name = "taylor"
    needs_gradient = True
    power: float = bounded(2.0, gt=0.0)

    def score(
        self,
        group: Group,
        parameters: Mapping[str, Tensor],
        gradients: list[Mapping[str, Tensor]],
        generator: torch.Generator,
    ) -> Tensor:
        """Returns the mean over batches."""
        del generator
        total = torch.zeros(group.size, dtype=torch.float64)
        for of_batch in gradients:
            change = torch.zeros(group.size, dtype=torch.float64)
            for member in group.members:
                if member.tensor in of_batch:
                    change += unit_sums(member, parameters[member.tensor] * of_batch[member.tensor], group.size)
            total += change.abs() ** self.power
        return total / max(len(gradients), 1)


@dataclass(frozen=True, kw_only=True)
class GroupRandom(GroupScore):
    """A uniform number in [0, 1)."""

    name = "random"

    def score(
        self,
        group: Group,
        parameters: Mapping[str, Tensor],
        gradients: list[Mapping[str, Tensor]],
        generator: torch.Generator,
    ) -> Tensor:
        """Returns numbers from `generator`."""
        del parameters, gradients
        return torch.rand(group.size, generator=generator, dtype=torch.float64)


def unit_sums(member: Member, values: Tensor, size: int) -> Tensor:
    """Returns the sum of `values`, shaped as the member's tensor, over the positions of each unit, (size,) float64."""
    others = [dim for dim in range(values.dim()) if dim != member.dim]
    along = values.detach().double().sum(others) if others else values.detach().double()
    of_units = torch.zeros(size + 1, dtype=torch.float64)  # the last place takes what belongs to no unit
    of_units.index_add_(0, torch.where(member.units < 0, size, member.units), along.cpu())
    return of_units[:size]
