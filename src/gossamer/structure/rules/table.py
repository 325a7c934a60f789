"""The table of operators: a rule says how the dimensions of an operator's results come from those of its inputs.

A rule takes the `Call` and returns the axes of the result, a list of them where there are several results. What it
ties on the way is its effect. Rules are looked up by the operator's name without its overload; in-place operators and
those that write to a given tensor share the rule of the plain one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_iter

from gossamer.structure.axes import Axis, Mismatch

if TYPE_CHECKING:
    from gossamer.structure.trace import Trace

Axes = tuple[Axis, ...]
Rule = Callable[["Call"], Any]

RULES: dict[str, Rule] = {}
PLACE = "it is a place in space or time"


class Call:
    """One call of an operator.

    Attributes:
        trace: The trace under way.
        name: The operator without overload and trailing underscore.
        out: What it returned.
    """

    def __init__(self, trace: Trace, func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> None:
        self.trace = trace
        self.name = plain_name(func)
        self.out = out
        self._values: dict[str, Any] = {}
        for place, argument in enumerate(func._schema.arguments):
            given = args[place] if place < len(args) else kwargs.get(argument.name, argument.default_value)
            self._values[argument.name] = given

    def __getitem__(self, argument: str) -> Any:
        return self._values[argument]

    def get(self, argument: str, default: Any = None) -> Any:
        """Returns the value of an argument, or a default where the operator has none of that name or it is None."""
        value = self._values.get(argument)
        return default if value is None else value

    def first(self, *arguments: str) -> Any:
        """Returns the value of the first of these arguments that the operator has."""
        return next(self._values[name] for name in arguments if name in self._values)

    def axes(self, argument: str | Tensor) -> Axes:
        """Returns the axes of a tensor, or of the argument with this name."""
        tensor = argument if isinstance(argument, Tensor) else self._values[argument]
        return self.trace.axes(tensor)

    def tensors(self) -> list[Tensor]:
        """Returns all tensors among the arguments."""
        return [item for item in tree_iter(tuple(self._values.values())) if isinstance(item, Tensor)]

    def dims(self, argument: str, rank: int) -> list[int]:
        """Returns dimensions that an argument names, counted from 0; all of them where it names none."""
        given = self._values.get(argument)
        if given is None or (isinstance(given, list | tuple) and not given):
            return list(range(rank))
        return [dim % max(rank, 1) for dim in (given if isinstance(given, list | tuple) else [given])]

    def fresh(self, size: int, reason: str = "") -> Axis:
        """Returns a new axis, frozen where a reason is given."""
        axis = Axis(size)
        axis.frozen = reason
        return axis

    def tie(self, *axes: Axis) -> Axis:
        """Ties axes and returns the first; see `Trace.tie`."""
        return self.trace.tie(*axes)

    def contract(self, one: Axis, other: Axis) -> None:
        """Ties two axes that are multiplied and summed over."""
        for tensor in self.tensors():
            for axis in (one, other):
                self.trace.sum_over(tensor, axis)
        self.tie(one, other).consume()
        other.consume()


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a rule under the names of the operators it is for."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def plain_name(func: Any) -> str:
    """Returns an operator's name: without namespace where it is ATen's, overload, and trailing underscore."""
    namespace, _, name = func._schema.name.partition("::")
    if not name.startswith("_") or not name.endswith("__"):
        name = name.rstrip("_") or name
    return name if namespace == "aten" else f"{namespace}::{name}"


def apply(trace: Trace, func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> None:
    """Ties what one call of an operator ties; freezes all it touches where there is no rule for it."""
    results = [item for item in (out if isinstance(out, list | tuple) else [out]) if isinstance(item, Tensor)]
    if not results:
        return
    call = Call(trace, func, args, kwargs, out)
    found: list[Axes] | None = None
    try:
        found = _by_rule(call, func, results)
    except Mismatch as error:
        reason = f"its parts do not fit in {call.name} of {trace.where} ({error})"
        for tensor in call.tensors():
            trace.freeze(trace.axes(tensor), reason)
        found = [tuple(call.fresh(size, reason) for size in result.shape) for result in results]
    except (ArithmeticError, LookupError, TypeError, ValueError):  # a use of the operator that its rule does not know
        found = None
    if found is None or [[axis.size for axis in axes] for axes in found] != [list(item.shape) for item in results]:
        reason = f"operator {call.name}, called in {trace.where}, has no rule"
        if any(not leaf.frozen for tensor in call.tensors() for axis in trace.axes(tensor) for leaf in axis.leaves()):
            trace.unknown[call.name] += 1
        for tensor in call.tensors():
            trace.freeze(trace.axes(tensor), reason)
        found = [tuple(call.fresh(size, reason) for size in result.shape) for result in results]
    for result, axes in zip(results, found, strict=True):
        trace.assign(result, axes)
    _numbers(call, results)
    if func._schema.is_mutable:
        _written(call, func, results)


def _by_rule(call: Call, func: Any, results: Sequence[Tensor]) -> list[Axes] | None:
    known = RULES.get(call.name)
    if known is None and torch.Tag.pointwise in func.tags:
        known = RULES["add"]
    if known is None:
        return None if call.tensors() else [tuple(Axis(size) for size in result.shape) for result in results]
    found = known(call)
    if found is None:
        return None
    return found if isinstance(found, list) else [tuple(found)]


def _numbers(call: Call, results: Sequence[Tensor]) -> None:
    """Follows sizes that were made tensors: they are used as numbers where they meet what the network computes."""
    tensors = call.tensors()
    sizes = [size for tensor in tensors for size in getattr(tensor, "_sizes", ())]
    if all(getattr(tensor, "_constant", False) for tensor in tensors):
        for result in results:
            result._constant = True  # type: ignore[attr-defined]
            if sizes:
                result._sizes = sizes  # type: ignore[attr-defined]
    else:
        for size in sizes:
            call.trace.used_as_number(size)


def _written(call: Call, func: Any, results: Sequence[Tensor]) -> None:
    """Ties a tensor that was written to with the result, where that is not the same object."""
    for argument in func._schema.arguments:
        written = call.get(argument.name)
        if argument.is_write and isinstance(written, Tensor):
            for result in results:
                if result is not written and result.shape == written.shape:
                    call.trace.assign(written, call.trace.axes(result))


def broadcast(call: Call, tensors: Sequence[Tensor], shape: Sequence[int]) -> Axes:
    """Ties dimensions that broadcasting lays over each other, and returns those of the result."""
    return overlay(call, [call.axes(tensor) for tensor in tensors], shape)


def overlay(call: Call, all_axes: Sequence[Sequence[Axis]], shape: Sequence[int]) -> Axes:
    """As `broadcast`, of axes."""
    result = []
    for back in range(len(shape), 0, -1):
        size = shape[-back]
        over = [axes[-back] for axes in all_axes if len(axes) >= back and axes[-back].size == size]
        result.append(call.tie(*over) if over else Axis(size))
    return tuple(result)


def shapes(out: Any) -> Iterator[torch.Size]:
    """Yields the shapes of results."""
    for item in out if isinstance(out, list | tuple) else [out]:
        yield item.shape
