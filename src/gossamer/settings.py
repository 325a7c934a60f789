"""Settings are frozen dataclasses whose ranges are data, and which go to JSON and back.

One class is the single source for the Python API, the command line and recipe files:

    @dataclass(frozen=True, kw_only=True)
    class Cubic(Schedule):
        name = "cubic"
        start: float = bounded(0.0, ge=0.0, le=1.0)   # fraction of training at which pruning begins

Bounds and types are checked when an instance is made, and are read by the tests to make values
just outside them. A family (`Schedule`, `Method`, ...) is a direct subclass of `Settings`; its
members carry a `name`, by which files and the command line write them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from gossamer.errors import SettingError, unknown

T = TypeVar("T", bound="Settings")

_LARGEST = 2**63


def bounded(
    default: Any = dataclasses.MISSING,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    **metadata: Any,
) -> Any:
    """Returns a dataclass field with a range: `ge`/`gt` from below, `le`/`lt` from above.

    Of a tuple, the range is that of each item. What else is given becomes the field's metadata.
    """
    limits = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    bounds = {key: value for key, value in limits.items() if value is not None}
    return dataclasses.field(default=default, metadata={"bounds": bounds, **metadata})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of every settings class: checks itself when made, and goes to JSON and back."""

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        hints = _hints(typing.cast("Any", type(self)))
        for field in dataclasses.fields(self):
            object.__setattr__(
                self, field.name, _checked(type(self), field, getattr(self, field.name), hints[field.name])
            )

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object: `name` says which class, every field follows."""
        values = {field.name: _encode(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return ({"name": self.name} if self.name else {}) | values

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Makes an instance of this class, or of the member of this family that `name` says.

        Raises:
            SettingError: Not an object, an unknown name or key (with the nearest one), or a value out of range.
        """
        if not isinstance(value, dict):
            raise SettingError(f"{cls.__name__}: expected a JSON object, found {type(value).__name__}")
        kind: type[Self] = cls
        if "name" in value or not cls.name:
            known = members(cls)
            if known:
                if value.get("name") not in known:
                    raise SettingError(unknown(cls.__name__.lower(), str(value.get("name")), known))
                kind = known[value["name"]]
        return kind(**{key: kind.read_field(key, item) for key, item in value.items() if key != "name"})

    @classmethod
    def read_field(cls, key: str, value: Any) -> Any:
        """Returns the value of one field from its JSON form, checked as when an instance is made.

        Raises:
            SettingError: An unknown field (with the nearest one), a wrong type, or a value out of range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if key not in fields:
            raise SettingError(unknown(f"setting of {cls.name or cls.__name__}", key, fields))
        hint = typing.get_type_hints(cls)[key]
        return _checked(cls, fields[key], _decode(hint, value), hint)

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with some fields changed; unknown fields are refused with the nearest name.

        A string given for a field that holds a family of settings is read as a member's name.
        """
        hints = typing.get_type_hints(type(self))
        fields = {field.name for field in dataclasses.fields(self)}
        for key in changes:
            if key not in fields:
                raise SettingError(unknown(f"setting of {self.name or type(self).__name__}", key, fields))
        return dataclasses.replace(self, **{key: _decode(hints[key], item) for key, item in changes.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def members(family: type[T]) -> dict[str, type[T]]:
    """Returns the named classes of a family, by name: the family itself if named, and all below it."""
    found: dict[str, type[T]] = {family.name: family} if family.name else {}
    for child in family.__subclasses__():
        found |= members(child)
    return dict(sorted(found.items()))


def _checked(owner: type[Settings], field: dataclasses.Field[Any], value: Any, hint: Any, item: str = "") -> Any:
    """Returns `value`, an int widened to float where the field is one; refuses a wrong type or range."""
    where = f"{owner.name or owner.__name__}: {field.name}{item}"
    allowed = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise SettingError(f"{where} is a number beyond 2^63; expected one that fits a computer's integer")
    if float in allowed and int not in allowed and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if value is None and type(None) in allowed:
        return None
    chosen = next((kind for kind in allowed if typing.get_origin(kind) is typing.Literal), None)
    if chosen is not None:
        if value not in typing.get_args(chosen):
            raise SettingError(f"{where} is {value!r}; expected one of {', '.join(map(repr, typing.get_args(chosen)))}")
        return value
    listed = next((a for a in allowed if typing.get_origin(a) is tuple), None)
    if listed is not None and isinstance(value, tuple | list):
        kind = typing.get_args(listed)[0]
        return tuple(_checked(owner, field, one, kind, f"[{place}]") for place, one in enumerate(value))
    plain = tuple(kind for kind in (typing.get_origin(a) or a for a in allowed) if isinstance(kind, type))
    if plain and (not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain)):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in plain)
        raise SettingError(f"{where} is {value!r}; expected {names}, found {type(value).__name__}")
    bounds = field.metadata.get("bounds", {})
    if bounds and value is not None and not within(value, bounds):
        raise SettingError(f"{where} is {value!r}; expected a number {describe(bounds)}")
    return value


def within(value: float, bounds: dict[str, float]) -> bool:
    """Says whether a number lies in a range; NaN lies in none."""
    return (
        not math.isnan(value)
        and value >= bounds.get("ge", -math.inf)
        and value <= bounds.get("le", math.inf)
        and ("gt" not in bounds or value > bounds["gt"])
        and ("lt" not in bounds or value < bounds["lt"])
    )


def describe(bounds: dict[str, float]) -> str:
    """Returns a range in words, for example `at least 0 and below 1`."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[key]} {limit:g}" for key, limit in bounds.items())


def _encode(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.to_json()
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _decode(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        return _decode(choices[0], value) if len(choices) == 1 else value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_decode(arguments[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, Settings):
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, dict):
            return hint.from_json(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    return value
