"""What must follow when units go: the cuts of tensors, and new values for the attributes that repeat a size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from gossamer.structure import sizes
from gossamer.structure.axes import Axis
from gossamer.structure.removal import Cut, NewSize, Removal, ranges
from gossamer.structure.sizes import Attribute, Expression
from gossamer.structure.trace import Trace


@dataclass(frozen=True)
class Conflict:
    """Axes that cannot lose these units, because a size that the network works out would no longer fit."""

    axes: tuple[Axis, ...]
    reason: str


def removal(trace: Trace, kept: Mapping[Axis, Tensor]) -> Removal | Conflict:
    """Returns all that changes when, of these leaves, only the units marked True stay."""
    counts = {leaf: int(mask.sum()) for leaf, mask in kept.items()}

    def count(axis: Axis) -> int:
        return axis.count(counts)

    values = _values(trace, count)
    if isinstance(values, Conflict):
        return values
    conflict = _number_that_changes(trace, values, count)
    if conflict is not None:
        return conflict
    cuts, written = [], {}
    for name, axes in trace.tensors.items():
        for dim, axis in enumerate(axes):
            root = axis.root()
            if root not in written:
                cut = any(leaf in kept for leaf in root.leaves())
                written[root] = ranges(root.keep(kept).nonzero().flatten()) if cut else ""
            if written[root] and count(root) < root.size:
                cuts.append(Cut(tensor=name, dim=dim, size=axis.size, keep=written[root]))
    changed = {attribute: value for attribute, value in values.items() if value != _old(trace, attribute)}
    changed |= _repeated(trace, cuts, values)
    new = [
        NewSize(module=trace.modules[one.holder], attribute=".".join(map(str, one.path)), value=value)
        for one, value in changed.items()
    ]
    return Removal(cuts=tuple(cuts), sizes=tuple(sorted(new, key=lambda size: (size.module, size.attribute))))


def _values(trace: Trace, count: Callable[[Axis], int]) -> dict[Attribute, int] | Conflict:
    """Returns a value for every attribute whose size the run measured, alone or in a formula."""
    values = {attribute: count(found[0].axis) for attribute, found in trace.measured.items()}
    unsolved = [one for one in trace.worked_out if not set(one.expression.attributes()) <= values.keys()]
    while unsolved:
        unknown = {one: set(one.expression.attributes()) - values.keys() for one in unsolved}
        fewest = min(unknown.values(), key=len)
        attribute = min(fewest, key=lambda one: (one.holder, str(one.path)))
        values_with_old = {other: _old(trace, other) for other in fewest - {attribute}} | values
        wanted = [(one.expression, count(one.axis)) for one, names in unknown.items() if names == fewest]
        old = _old(trace, attribute)
        solved = sizes.solve(wanted, attribute, values_with_old, old, count)
        values[attribute] = old if solved is None else solved
        unsolved = [one for one in unsolved if not set(one.expression.attributes()) <= values.keys()]
    for one in trace.worked_out:
        if one.expression.value(values, count) != count(one.axis):
            return _conflict(trace, one.expression, (one.axis,), f"a size worked out in {one.module} would not fit")
    return values


def _number_that_changes(
    trace: Trace, values: Mapping[Attribute, int], count: Callable[[Axis], int]
) -> Conflict | None:
    """Returns a conflict where a size whose value enters the computation, as in a scale, would be another."""
    for expression, module in trace.as_numbers:
        attributes = {one: _old(trace, one) for one in expression.attributes()}
        old = expression.value(attributes, lambda axis: axis.size)
        if expression.value({**attributes, **values}, count) != old:
            return _conflict(trace, expression, (), f"its size is used as a number in {module}")
    return None


def _conflict(trace: Trace, expression: Expression, axes: tuple[Axis, ...], reason: str) -> Conflict:
    measured = [found.axis for one in expression.attributes() for found in trace.measured.get(one, [])]
    return Conflict((*axes, *expression.axes(), *measured), reason)


def _old(trace: Trace, attribute: Attribute) -> int:
    return sizes.read(trace.by_name[trace.modules[attribute.holder]], attribute.path)


def _repeated(trace: Trace, cuts: list[Cut], values: Mapping[Attribute, int]) -> dict[Attribute, int]:
    """Returns new values for attributes that the run did not need, but that repeat a size of the module's weights.

    Such as `in_features`: what starts with "in" is looked for among the inputs of weights, the rest among all sizes.
    """
    new = {(cut.tensor, cut.dim): len(cut.positions()) for cut in cuts}
    held = _held(trace)
    found: dict[Attribute, int] = {}
    for attribute, (holder, name) in trace.attributes.items():
        if attribute in values or len(attribute.path) != 1 or not isinstance(holder, nn.Module):
            continue
        key, old = str(attribute.path[0]), _old(trace, attribute)
        if isinstance(holder, nn.modules.conv._ConvNd):
            value = _of_convolution(trace, name, holder, values, new).get(key)
        else:
            value = _of_weights(held.get(name, ()), key, old, new)
        if value is not None and value != old:
            found[attribute] = value
    return found


def _held(trace: Trace) -> dict[str, list[tuple[str, tuple[Axis, ...]]]]:
    """Returns, by module, the tensors that it or a module in it holds, with their axes."""
    held: dict[str, list[tuple[str, tuple[Axis, ...]]]] = {}
    for tensor, axes in trace.tensors.items():
        owners = set()
        for name in trace.names[tensor]:
            parts = name.split(".")
            owners |= {".".join(parts[:length]) for length in range(len(parts))}
        for owner in owners:
            held.setdefault(owner, []).append((tensor, axes))
    return held


def _of_weights(
    held: Sequence[tuple[str, tuple[Axis, ...]]], key: str, old: int, new: Mapping[tuple[str, int], int]
) -> int | None:
    found = set()
    for tensor, axes in held:
        for dim, axis in enumerate(axes):
            inside = len(axes) > 1 and dim == 1
            side = inside if key.startswith("in") else not inside if key.startswith("out") else True
            if side and axis.size == old:
                found.add(new.get((tensor, dim), old))
    return found.pop() if len(found) == 1 else None


def _of_convolution(
    trace: Trace,
    name: str,
    module: nn.modules.conv._ConvNd,
    values: Mapping[Attribute, int],
    new: Mapping[tuple[str, int], int],
) -> dict[str, int]:
    """Returns the channels of a convolution: its weight is (out, in / groups, …), transposed (in, out / groups, …)."""
    weight = f"{name}.weight" if name else "weight"
    groups = values.get(Attribute(id(module), ("groups",)), int(module.groups))
    first, second = (new.get((weight, dim), int(module.weight.shape[dim])) for dim in (0, 1))
    if module.transposed:
        return {"in_channels": first, "out_channels": second * groups}
    return {"in_channels": second * groups, "out_channels": first}
