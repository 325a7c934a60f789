"""The fields of a recipe as options: one option a field, of the same name, with the same documentation.

An option that is not given is None, so that it is known what overrides a recipe file.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from gossamer.commands.command import number, numbers, option
from gossamer.recipes.changes import Changes
from gossamer.recipes.choice import Choice
from gossamer.recipes.recipe import Recipe
from gossamer.settings import Settings

_WORDS: dict[Any, tuple[str, Callable[[str], Any]]] = {  # the type of a field: how it is shown and read
    str: ("TEXT", str),
    Path: ("PATH", Path),
    int: ("N", number(int, "a whole number")),
    float: ("X", number(float, "a number")),
    Choice: ("NAME[...]", str),
    tuple[Choice, ...]: ("NAME,NAME[...],...", str),
    tuple[float, ...]: ("A,B,...", numbers(float, "a number, as in 0.5,0.9")),
    tuple[int, ...]: ("A,B,...", numbers(int, "a whole number, as in 0,1,2")),
}
_LISTS = {"budgets": ";", "columns": ","}  # lists of text, and what stands between two items


def recipe_options() -> list[tuple[str, Any, Any]]:
    """Returns the options as fields for `dataclasses.make_dataclass`: those of `Recipe`, then those of `Changes`."""
    return [*_options(Recipe, leave="training"), *_options(Changes)]


def given(command: Any) -> dict[str, Any]:
    """Returns the fields of a recipe that the options of a command set; those of its training under `training`."""
    values: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for kind, into in ((Recipe, values), (Changes, changes)):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if bool in _kinds(hints[field.name]):
                on, off = getattr(command, field.name), getattr(command, f"no_{field.name}")
                if on or off:
                    into[field.name] = on and not off
            elif (value := getattr(command, field.name, None)) is not None:
                into[field.name] = value
    return {**values, "training": Changes(**changes)} if changes else values


def _options(kind: type[Settings], leave: str = "") -> list[tuple[str, Any, Any]]:
    hints = typing.get_type_hints(kind)
    found: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        if field.name == leave:
            continue
        kinds, doc = _kinds(hints[field.name]), field.metadata["doc"]
        if bool in kinds:  # two flags, so that either value of a file can be overridden
            on = bool(field.default)
            for name, text in (
                (field.name, doc),
                (f"no_{field.name}", f"the opposite of --{field.name.replace('_', '-')}"),
            ):
                shown = f"{text} (default)" if on == (name == field.name) and kind is Recipe else text
                found.append((name, _optional(bool, shown), dataclasses.field(default=False)))
            continue
        if field.name in _LISTS:
            between = _LISTS[field.name]
            metavar, parse = f"TEXT{between}TEXT{between}...", _split(between)
        else:
            metavar, parse = _WORDS[kinds[0]]
        text = f"{doc} (default: the network's own)" if kind is Changes else f"{doc}{_default(field)}"
        made = _optional(kinds[0] | None, text, option(metavar, parse))
        found.append((field.name, made, dataclasses.field(default=None)))
    return found


def _kinds(hint: Any) -> list[Any]:
    """Returns the types that a field may have besides None; one of several words is text."""
    if typing.get_origin(hint) is typing.Literal:
        return [str]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for one in typing.get_args(hint) if one is not type(None) for kind in _kinds(one)]
    return [hint]


def _optional(kind: Any, text: str, *more: Any) -> Any:
    """Returns the annotated type of an option that may be left out."""
    return Annotated.__class_getitem__((kind, *more, arg(help=text, help_behavior_hint="")))  # type: ignore[attr-defined]


def _default(field: dataclasses.Field[Any]) -> str:
    """Returns what the help says of a default; nothing where the documentation says it or there is none."""
    value = field.default
    if value in (dataclasses.MISSING, None, ()):
        return ""
    items = (
        [item.label if isinstance(item, Choice) else str(item) for item in value] if isinstance(value, tuple) else []
    )
    return f" (default: {','.join(items) or value})"


def _split(between: str) -> Callable[[str], tuple[str, ...]]:
    return lambda text: tuple(part.strip() for part in text.split(between) if part.strip())
