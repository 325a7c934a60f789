"""Methods by name.

A named method is an instance of a `Method` with its defaults; one file in a family package (`gossamer.prune`, ...)
makes it and registers it. Every module of the families is found by itself, so adding a method is adding a file:
it then has a command-line name, a row in `gossamer methods` and a row in the battery of tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import re
from dataclasses import dataclass
from typing import Any

from gossamer.compression.method import Method
from gossamer.errors import SettingError, unknown

FAMILIES = ("gossamer.compression", "gossamer.prune")


@dataclass(frozen=True)
class Named:
    """A registered method: its name, its default settings, one line on it, and the paper it follows."""

    name: str
    method: Method
    summary: str
    paper: str


_REGISTERED: dict[str, Named] = {}


def register(name: str, method: Method, *, summary: str, paper: str = "") -> Method:
    """Makes `method` known under `name` and returns it.

    Args:
        name: Lower case, words joined by hyphens; must be new.
        method: The settings the name stands for.
        summary: One line that says what it does.
        paper: Id of the publication it follows; the method's own `paper` where empty.

    Raises:
        SettingError: The name is malformed or taken.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise SettingError(f"method name {name!r} should be lower-case words joined by hyphens, like 'magnitude-simd'")
    if name in _REGISTERED and _REGISTERED[name].method != method:
        raise SettingError(f"method name {name!r} is taken; choose another")
    _REGISTERED[name] = Named(name, method, summary, paper or method.paper)
    return method


def methods() -> dict[str, Named]:
    """Returns every registered method by name, after looking through the family packages."""
    for family in FAMILIES:
        package = importlib.import_module(family)
        for module in pkgutil.iter_modules(package.__path__, prefix=f"{family}."):
            importlib.import_module(module.name)
    return dict(sorted(_REGISTERED.items()))


def method(name: str, **changes: Any) -> Method:
    """Returns the method registered under `name`, with some of its settings changed.

    >>> method("rigl", sparsity=0.8).sparsity
    0.8

    Raises:
        SettingError: An unknown name or setting (with the nearest one), or a value out of range.
    """
    known = methods()
    if name not in known:
        raise SettingError(unknown("method", name, known))
    return known[name].method.replace(**changes)


def parse_named(text: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Reads `name[key=value,...],name,...` into label -> (name, settings).

    Values are JSON where they parse as such, else text.

    >>> parse_named("rigl[every=50],magnitude")
    {'rigl[every=50]': ('rigl', {'every': 50}), 'magnitude': ('magnitude', {})}

    Raises:
        SettingError: Brackets do not match, a setting has no `=`, or a label occurs twice.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for item in _split(text):
        match = re.fullmatch(r"([^\[\]=]+?)(?:\[(.*)\])?", item)
        if match is None:
            raise SettingError(f"{item!r} does not read as NAME or NAME[KEY=VALUE,...]")
        settings: dict[str, Any] = {}
        for pair in _split(match[2] or ""):
            key, equals, value = pair.partition("=")
            if not equals:
                raise SettingError(f"{item!r}: setting {pair!r} has no '='; write KEY=VALUE")
            try:
                settings[key.strip()] = json.loads(value)
            except ValueError:
                settings[key.strip()] = value.strip()
        if item in found:
            raise SettingError(f"{item!r} is listed twice; list each once")
        found[item] = (match[1].strip(), settings)
    if not found:
        raise SettingError("no name was given; write for example rigl,magnitude")
    return found


def parse_methods(text: str) -> dict[str, Method]:
    """Reads a comma-separated list of methods, each optionally with settings in brackets.

    >>> [m.name for m in parse_methods("rigl[every=50],dense").values()]
    ['drop-and-grow', 'dense']

    Raises:
        SettingError: As `method` and `parse_named`.
    """
    return {label: method(name, **settings) for label, (name, settings) in parse_named(text).items()}


def _split(text: str) -> list[str]:
    """Splits at the commas that stand outside brackets and braces."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        if letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
            if depth < 0:
                raise SettingError(f"{text!r}: ']' at character {place + 1} closes nothing")
        elif letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth:
        raise SettingError(f"{text!r}: a '[' is not closed")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
