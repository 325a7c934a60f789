"""Groups: what must go together, with exact maps from a group's units to the positions of parameters and buffers.

A group is a leaf of the trace. Its units may go if nothing freezes it, if something sums over it (what a unit holds is
then used, and its absence is felt), and if a parameter lies along it. Of a product, such as heads × width, one factor
is pruned and the others are kept: the one that most weights lie along, and of equal ones the outermost, so that whole
heads go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from gossamer.structure.axes import Axis, factors
from gossamer.structure.rules.table import PLACE
from gossamer.structure.trace import Trace


@dataclass(frozen=True, eq=False)
class Member:
    """A dimension of a parameter or buffer that lies along a group.

    Attributes:
        tensor: Its name; the first one, of a shared weight.
        dim: Which dimension.
        units: (size of the dimension,) int64: the unit that each position belongs to, -1 for none.
        uses: Whether its weights use the unit, as the columns of the next layer do; those of others make it.
    """

    tensor: str
    dim: int
    units: Tensor
    uses: bool = False


@dataclass(frozen=True, eq=False)
class Group:
    """Units that are removed everywhere at once.

    Attributes:
        name: The first parameter along it and the dimension, as in `conv1.weight:0`.
        size: How many units there are.
        members: Where they lie.
        refused: Why none of them may go; "" where they may.
        axis: The leaf of the trace.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    refused: str
    axis: Axis


def groups(trace: Trace) -> list[Group]:
    """Returns all groups of more than one unit along which a parameter lies, in the order of the parameters.

    Sizes of convolution kernels are left out: their positions are places, not units.
    """
    parameters = {name for name, _ in trace.model.named_parameters()}
    members: dict[Axis, list[Member]] = {}
    for name, axes in _in_order(trace):
        for dim, axis in enumerate(axes):
            for leaf in dict.fromkeys(axis.leaves()):
                uses = (name, dim) in trace.summed
                members.setdefault(leaf, []).extend(Member(name, dim, units, uses) for units in axis.units(leaf))
    members = {
        leaf: found
        for leaf, found in members.items()
        if leaf.size > 1 and leaf.frozen != PLACE and any(member.tensor in parameters for member in found)
    }
    held = _held(trace, members)
    result: list[Group] = []
    taken: set[str] = set()
    for leaf, found in members.items():
        name = _name(found, taken)
        taken.add(name)
        refused = leaf.frozen or ("" if leaf.consumed else "nothing sums over it in this run")
        if not refused and leaf in held:
            refused = "units of which it is a part, or that are parts of its, go instead"
        result.append(Group(name, leaf.size, tuple(found), refused, leaf))
    return result


def _in_order(trace: Trace) -> Iterable[tuple[str, tuple[Axis, ...]]]:
    """Yields the axes of parameters, then of buffers, in the network's own order."""
    network: nn.Module = trace.model
    for name, _ in (*network.named_parameters(), *network.named_buffers()):
        if name in trace.tensors:
            yield name, trace.tensors[name]


def _name(members: list[Member], taken: set[str]) -> str:
    first = members[0]
    plain = f"{first.tensor}:{first.dim}"
    if plain not in taken:
        return plain
    start = int((first.units >= 0).int().argmax())
    name, count = f"{plain}+{start}", 1
    while name in taken:
        count += 1
        name = f"{plain}+{start}.{count}"
    return name


def _held(trace: Trace, members: dict[Axis, list[Member]]) -> set[Axis]:
    """Returns the leaves that are a factor of a product of which another factor is to be pruned."""
    sizes = {name: math.prod(axis.size for axis in axes) for name, axes in trace.tensors.items()}
    weights = {
        leaf: sum(sizes[name] for name in {member.tensor for member in found})
        for leaf, found in members.items()
        if not leaf.frozen and leaf.consumed
    }
    beside: dict[Axis, set[Axis]] = {}  # leaves to those in other factors of products that they are in, outermost first

    def visit(axis: Axis) -> None:
        root = axis.root()
        if root.kind == "product":
            free = [dict.fromkeys(leaf for leaf in factor.leaves() if leaf in weights) for factor in factors(root)]
            for leaves in free:
                for leaf in leaves:
                    beside.setdefault(leaf, set()).update(*(other for other in free if other is not leaves))
        for part in root.parts:
            visit(part)

    for axes in trace.tensors.values():
        for axis in axes:
            visit(axis)
    chosen: set[Axis] = set()
    for leaf in sorted(beside, key=lambda leaf: -weights[leaf]):
        if beside[leaf].isdisjoint(chosen):
            chosen.add(leaf)
    return beside.keys() - chosen
