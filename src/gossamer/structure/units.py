"""Arithmetic on the weights of units: sums over a unit's weights, and a factor for each.

A unit's weights lie in rows of some tensors and in columns of others. `UnitWeights` sees them as the rows of one
matrix, so that norms, products and scalings of a unit are those of a row; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from gossamer.structure.groups import Group, Member


class UnitWeights:
    """The weights of units in some tensors, such as those of a group in its members.

    Args:
        size: How many units there are.
        members: Where their weights lie; those of one tensor must be of different dimensions.
    """

    def __init__(self, size: int, members: Iterable[Member]) -> None:
        self.size = size
        self.members = tuple(members)
        self._plain = [
            len(member.units) == self.size and bool((member.units == torch.arange(self.size)).all())
            for member in self.members
        ]

    def __len__(self) -> int:
        return self.size

    def dimension(self, tensors: Mapping[str, Tensor]) -> int:
        """Returns how many weights the first unit has; of units of one group all have as many."""
        return sum(
            int((member.units == 0).sum()) * tensors[member.tensor].numel() // tensors[member.tensor].shape[member.dim]
            for member in self.members
        )

    def sums(self, of: Callable[[str], Tensor]) -> Tensor:
        """Returns the sum over each unit's weights of a tensor shaped like theirs, (units,); of gives it by name."""
        total: Tensor | None = None
        for member, plain in zip(self.members, self._plain, strict=True):
            values = of(member.tensor)
            others = [dim for dim in range(values.dim()) if dim != member.dim]
            along = values.sum(others) if others else values
            if not plain:
                units = member.units.to(along.device)
                within = units >= 0
                along = along.new_zeros(self.size).index_add_(0, units[within], along[within])
            total = along if total is None else total + along
        assert total is not None
        return total

    def products(self, one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Tensor:
        """Returns each unit's scalar product of two sets of tensors, (units,)."""
        return self.sums(lambda name: one[name] * other[name])

    def norms(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Returns each unit's Euclidean norm, (units,), with a gradient of zero where it is zero."""
        squares = self.products(tensors, tensors)
        return torch.where(squares > 0, squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt(), 0.0)

    def factors(self, member: Member, factor: Tensor, like: Tensor, *, rest: float = 1.0) -> Tensor:
        """Returns a factor of each unit, (units,), in the shape that multiplies a member's tensor; `rest` elsewhere."""
        along = torch.cat([factor, factor.new_full((1,), rest)])[member.units.to(factor.device)]
        return along.view([-1 if dim == member.dim else 1 for dim in range(like.dim())])

    @torch.no_grad()
    def scale_(self, tensors: Mapping[str, Tensor], factor: Tensor) -> None:
        """Multiplies each unit's weights by its factor, (units,), in place."""
        for member in self.members:
            values = tensors[member.tensor]
            values.mul_(self.factors(member, factor.to(values), values))

    @torch.no_grad()
    def silence_(self, tensors: Mapping[str, Tensor], gone: Tensor) -> None:
        """Puts zeros in place of the weights of the units marked True, (units,) bool, in the tensors given."""
        for member in self.members:
            values = tensors.get(member.tensor)
            if values is None:
                continue
            along = torch.cat([gone, gone.new_zeros(1)])[member.units.to(gone.device)]
            values.index_fill_(member.dim, along.nonzero().flatten().to(values.device), 0.0)


def making(group: Group, parameters: Mapping[str, Tensor]) -> UnitWeights:
    """Returns the weights that make the units: rows of layers, biases, scales of norms behind."""
    found = (one for one in group.members if one.tensor in parameters and not one.uses)
    return UnitWeights(group.size, found)


def using(group: Group, parameters: Mapping[str, Tensor]) -> UnitWeights:
    """Returns the weights that use the units: the columns of the layers behind."""
    return UnitWeights(group.size, (one for one in group.members if one.tensor in parameters and one.uses))


def whole(group: Group, parameters: Mapping[str, Tensor]) -> UnitWeights:
    """Returns all weights of the units; of a tensor in which they lie in two dimensions, those along the first."""
    first: dict[str, int] = {}
    members = [member for member in group.members if member.tensor in parameters]
    return UnitWeights(
        group.size, [member for member in members if first.setdefault(member.tensor, member.dim) == member.dim]
    )
