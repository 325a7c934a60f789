"""Sizes that remember where they come from, so that what a network repeats of a size can follow it.

A forward pass is full of sizes: `x.view(b, t, self.heads, c // self.heads)`. Once channels are removed, those read from
tensors follow by themselves, those kept in attributes must be changed, and those written as numbers cannot be. So for
the time of a trace every integer attribute of a network is a `Size`, an int that knows its `Expression`; arithmetic on
it gives another one, and whatever receives it in the end (a view, a slice, a comparison) tells which axis it measures.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from gossamer.structure.axes import Axis

_SMALLEST = 2  # a size of 1 has nothing to lose, and 0 is no size
_DEPTH = 3  # how deep in objects and lists an attribute is looked for


@dataclass(frozen=True)
class Attribute:
    """An integer that a module keeps: `holder` is the object it was found in, `path` the way to it from there."""

    holder: int  # id() of a module, or of an object that modules share, such as a configuration
    path: tuple[str | int, ...]


@dataclass(frozen=True)
class Expression:
    """How a size was worked out: an attribute, the size of an axis, a number, or an operation on two of these."""

    operation: str  # attribute, axis, number, or one of + - * // %
    attribute: Attribute | None = None
    axis: Axis | None = None
    number: int = 0
    operands: tuple[Expression, ...] = ()

    def value(self, attributes: Mapping[Attribute, int], axes: Callable[[Axis], int]) -> int:
        """Returns the size for given attributes and axes; raises KeyError for an attribute that is not given."""
        if self.operation == "number":
            return self.number
        if self.attribute is not None:
            return attributes[self.attribute]
        if self.axis is not None:
            return axes(self.axis)
        left, right = (operand.value(attributes, axes) for operand in self.operands)
        return _OPERATIONS[self.operation](left, right)

    def attributes(self) -> Iterator[Attribute]:
        """Yields the attributes it reads."""
        if self.attribute is not None:
            yield self.attribute
        for operand in self.operands:
            yield from operand.attributes()

    def axes(self) -> Iterator[Axis]:
        """Yields the axes whose sizes it reads."""
        if self.axis is not None:
            yield self.axis
        for operand in self.operands:
            yield from operand.axes()


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


@dataclass(frozen=True)
class Watch:
    """What is told of sizes that are compared, or used as plain numbers."""

    equal: Callable[[Expression, Expression], None]
    used_as_number: Callable[[Expression], None]
    followed: set[int] = field(default_factory=set)  # ids of the objects whose integers are followed


class Size(int):
    """An int that knows how it was worked out."""

    expression: Expression
    watch: Watch

    def __new__(cls, value: int, expression: Expression, watch: Watch) -> Size:
        """Makes one of a value and where it comes from."""
        size = super().__new__(cls, value)
        size.expression = expression
        size.watch = watch
        return size

    def __deepcopy__(self, memo: dict[int, Any]) -> int:
        return int(self)

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)

    def _with(self, operation: str, left: Any, right: Any) -> Any:
        if not isinstance(left, int) or not isinstance(right, int):
            self.watch.used_as_number(self.expression)
            return NotImplemented
        value = _OPERATIONS[operation](int(left), int(right))
        operands = (expression(left), expression(right))
        return Size(value, Expression(operation, operands=operands), self.watch)

    def __add__(self, other: Any) -> Any:
        return self._with("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._with("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._with("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with("-", other, self)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, tuple | list | str):
            return int(self) * other
        return self._with("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, tuple | list | str):
            return int(self) * other
        return self._with("*", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._with("//", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with("//", other, self)

    def __mod__(self, other: Any) -> Any:
        return self._with("%", self, other)

    def __truediv__(self, other: Any) -> Any:
        self.watch.used_as_number(self.expression)
        return int(self).__truediv__(other)

    def __rtruediv__(self, other: Any) -> Any:
        self.watch.used_as_number(self.expression)
        return int(self).__rtruediv__(other)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        self.watch.used_as_number(self.expression)
        return int(self).__pow__(other) if modulo is None else pow(int(self), other, modulo)

    def __float__(self) -> float:
        self.watch.used_as_number(self.expression)
        return float(int(self))

    def _compared(self, other: object) -> None:
        if isinstance(other, Size) and int(self) == int(other):
            self.watch.equal(self.expression, other.expression)

    def __eq__(self, other: object) -> bool:
        self._compared(other)
        return int(self) == other

    def __ne__(self, other: object) -> bool:
        self._compared(other)
        return int(self) != other

    def __lt__(self, other: Any) -> bool:
        self._compared(other)
        return bool(int(self) < other)

    def __le__(self, other: Any) -> bool:
        self._compared(other)
        return bool(int(self) <= other)

    def __gt__(self, other: Any) -> bool:
        self._compared(other)
        return bool(int(self) > other)

    def __ge__(self, other: Any) -> bool:
        self._compared(other)
        return bool(int(self) >= other)

    def __hash__(self) -> int:
        """Differs from that of the plain int, so that no cache gives what it got from other sizes of this value."""
        return hash((int(self), id(self.expression)))


def expression(size: int) -> Expression:
    """Returns where a size comes from; a plain int is a number."""
    return size.expression if isinstance(size, Size) else Expression("number", number=int(size))


def follow(model: nn.Module, watch: Watch) -> dict[Attribute, tuple[Any, str]]:
    """Makes a `Size` of every integer attribute of every module, in place.

    Returns:
        Every attribute that was found, with the object that holds it and the dotted name of a module that does.
    """
    found: dict[Attribute, tuple[Any, str]] = {}
    for name, module in model.named_modules():
        _follow(module, name, watch, found)
    return found


def _follow(holder: Any, module: str, watch: Watch, found: dict[Attribute, tuple[Any, str]]) -> None:
    if id(holder) in watch.followed:
        return
    watch.followed.add(id(holder))
    values = vars(holder)
    for key in list(values):
        if isinstance(holder, nn.Module) and key in _OF_MODULES:
            continue
        values[key] = _sized(values[key], holder, (key,), module=module, watch=watch, found=found)


_OF_MODULES = frozenset(vars(nn.Module()))  # what PyTorch itself keeps in every module


def _sized(
    value: Any,
    holder: Any,
    path: tuple[str | int, ...],
    *,
    module: str,
    watch: Watch,
    found: dict[Attribute, tuple[Any, str]],
) -> Any:
    """Returns `value` with a Size in place of every integer that it holds."""
    if type(value) is int and value >= _SMALLEST:
        attribute = Attribute(id(holder), path)
        found[attribute] = (holder, module)
        return Size(value, Expression("attribute", attribute=attribute), watch)
    if len(path) > _DEPTH:
        return value
    if type(value) in (tuple, list):
        return type(value)(
            _sized(item, holder, (*path, place), module=module, watch=watch, found=found)
            for place, item in enumerate(value)
        )
    if type(value) is dict:
        return {
            key: _sized(item, holder, (*path, key), module=module, watch=watch, found=found)
            if isinstance(key, str) and key.isidentifier()
            else item
            for key, item in value.items()
        }
    if _is_configuration(value):
        _follow(value, module, watch, found)
    return value


def _is_configuration(value: Any) -> bool:
    """Says whether an attribute is an object that only keeps settings."""
    if isinstance(value, nn.Module | Tensor | type) or callable(value) or not hasattr(value, "__dict__"):
        return False
    return type(value).__module__.partition(".")[0] not in {"builtins", "torch", "torch_geometric", "numpy", "gossamer"}


def held_as(module: nn.Module, holder: Any) -> tuple[str | int, ...] | None:
    """Returns the way from a module to an object that it holds, () if it is that itself; None if there is none."""
    if module is holder:
        return ()
    return _way(module, holder, 0)


def _way(where: Any, holder: Any, depth: int) -> tuple[str | int, ...] | None:
    if depth == _DEPTH:
        return None
    for key, value in vars(where).items():
        if value is holder:
            return (key,)
        if _is_configuration(value):
            further = _way(value, holder, depth + 1)
            if further is not None:
                return (key, *further)
    return None


def assign(module: nn.Module, path: tuple[str | int, ...], value: int) -> None:
    """Sets an attribute of a module; what lies on the way and may be shared with others is copied first."""
    first, *rest = path
    setattr(module, str(first), _assigned(vars(module)[str(first)], tuple(rest), value))


def read(module: nn.Module, path: tuple[str | int, ...]) -> int:
    """Returns an attribute of a module; raises LookupError or AttributeError if it is not there."""
    value: Any = module
    for key in path:
        value = value[key] if isinstance(key, int) or isinstance(value, dict) else getattr(value, key)
    return int(value)


def _assigned(old: Any, path: tuple[str | int, ...], value: int) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(first, int):
        items = list(old)
        items[first] = _assigned(items[first], tuple(rest), value)
        return type(old)(items)
    new = copy.copy(old)
    if isinstance(old, dict):
        new[first] = _assigned(old[first], tuple(rest), value)
        return new
    vars(new)[first] = _assigned(vars(old)[first], tuple(rest), value)
    return new


def solve(
    wanted: list[tuple[Expression, int]],
    attribute: Attribute,
    known: Mapping[Attribute, int],
    old: int,
    axes: Callable[[Axis], int],
) -> int | None:
    """Returns the value of one attribute for which all expressions have their wanted values; None if there is none.

    The old value is preferred, then the largest: removing makes sizes smaller, never larger.

    Args:
        wanted: Expressions with the values that they must have.
        attribute: What to solve for.
        known: All other attributes in the expressions.
        old: What the attribute is now.
        axes: The sizes of axes.
    """
    for value in range(old, 0, -1):
        values = {**known, attribute: value}
        try:
            if all(one.value(values, axes) == size for one, size in wanted):
                return value
        except ZeroDivisionError:
            continue
    return None
