"""What an exploration may vary of a method: numbers within their bounds, and choices.

A field of a family of settings (`score`, `granularity`, ...) is a choice among the family's members, each with its
defaults; the member that the method has keeps the settings it has. Members that the method refuses are left out.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gossamer.compression.method import Method
from gossamer.compression.search import interval
from gossamer.errors import SettingError, unknown
from gossamer.settings import Settings, members

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    whole: bool


@dataclass(frozen=True)
class Choices:
    """Some values; of a family of settings, the members' names."""

    values: tuple[Value, ...]


Space = dict[str, Interval | Choices]


def space(method: Method, ranges: Mapping[str, Sequence[Value]] | None = None) -> Space:
    """Returns what may be varied of a method, by field.

    Args:
        method: Its `knob` and `knobs` are varied; other fields stay as they are.
        ranges: Other ranges, of these or of further fields: (low, high) for a number, the values for a choice.

    Raises:
        SettingError: There is nothing to vary, or a range does not fit its field.
    """
    ranges = dict(ranges or {})
    known = typing.get_type_hints(type(method))
    for name in ranges:
        if name not in method.to_json() or name == "name":
            raise SettingError(unknown(f"setting of {method.name}", name, method.to_json().keys() - {"name"}))
    names = [name for name in (method.knob, *method.knobs) if name]
    found: Space = {}
    for name in [*names, *(name for name in ranges if name not in names)]:
        found[name] = _dimension(method, name, known[name], ranges.get(name))
    found = {name: dimension for name, dimension in found.items() if _width(dimension)}
    if not found:
        raise SettingError(f"{method.name} has nothing to explore; choose another method, or give ranges")
    return found


def with_values(method: Method, values: Mapping[str, Value]) -> Method:
    """Returns the method with some fields set; a member of a family keeps its settings where it is the method's own.

    Raises:
        SettingError: The method refuses the values, or that they meet.
    """
    return method.replace(**{name: value for name, value in values.items() if value != _own(method, name)})


def label(name: str, method: Method, values: Mapping[str, Value]) -> str:
    """Returns a method's name with the settings that differ from its own, but for the knob.

    >>> from gossamer.compression.registry import method
    >>> label("rigl", method("rigl"), {"sparsity": 0.8, "first": 0.25, "grow": "by-gradient"})
    'rigl[first=0.25]'
    """
    changed = {key: value for key, value in values.items() if key != method.knob and value != _own(method, key)}
    pairs = ",".join(f"{key}={_written(value)}" for key, value in changed.items())
    inside = name[:-1] + "," if name.endswith("]") else name + "["
    return f"{inside}{pairs}]" if pairs else name


def _own(method: Method, name: str) -> Any:
    """Returns the value that a method has; of a member of a family, its name."""
    value = getattr(method, name)
    return value.name if isinstance(value, Settings) else value


def _written(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _width(dimension: Interval | Choices) -> bool:
    """Says whether there is anything to vary."""
    return dimension.high > dimension.low if isinstance(dimension, Interval) else len(dimension.values) > 1


def _dimension(method: Method, name: str, hint: Any, given: Sequence[Value] | None) -> Interval | Choices:
    family = _family(hint)
    if family is not None:
        choices = tuple(members(family)) if given is None else tuple(given)
        return Choices(tuple(choice for choice in choices if _accepts(method, name, choice, given is not None)))
    if typing.get_origin(hint) is Literal:
        return Choices(typing.get_args(hint) if given is None else tuple(given))
    if hint is bool:
        return Choices((False, True) if given is None else tuple(given))
    if hint in {int, float}:
        limits = interval(method, name)
        if given is not None:
            if len(given) != 2 or not all(isinstance(value, int | float) for value in given):
                raise SettingError(f"{name}: the range is {tuple(given)}; expected two numbers, the least and the most")
            low, high = (float(typing.cast("float", value)) for value in given)
            for value in (low, high):
                method.replace(**{name: int(value) if hint is int else value})
            limits = (low, high, hint is int)
        if limits is None:
            raise SettingError(f"{name} has not two bounds; give its range, as in {name}=1,10")
        return Interval(*limits)
    raise SettingError(f"{name} cannot be varied; expected a number, a choice or a family of settings")


def _family(hint: Any) -> type[Settings] | None:
    kinds = typing.get_args(hint) if typing.get_origin(hint) in {typing.Union, types.UnionType} else (hint,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)


def _accepts(method: Method, name: str, choice: Value, asked: bool) -> bool:
    """Says whether the method takes a member; raises the method's refusal where it was asked for by name."""
    try:
        with_values(method, {name: choice})
    except SettingError:
        if asked:
            raise
        return False
    return True
