"""Methods by name.

A named method is an instance of a `Method` with its defaults; one file in a family package (`gossamer.prune`, ...)
makes it and registers it. Every module of the families is found by itself, so adding a method is adding a file:
it then has a command-line name, a row in `gossamer methods` and a row in the battery of tests.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import re
from dataclasses import dataclass
from typing import Any

from gossamer.compression.method import Method
from gossamer.errors import SettingError, unknown
from gossamer.naming import parse_named

FAMILIES = ("gossamer.compression", "gossamer.prune", "gossamer.factorize", "gossamer.share")


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
    if name == "all" or (name in _REGISTERED and _REGISTERED[name].method != method):
        raise SettingError(f"method name {name!r} is taken; choose another")
    _REGISTERED[name] = Named(name, method, summary, paper or method.paper)
    return method


def methods() -> dict[str, Named]:
    """Returns every registered method by name, after looking through the family packages."""
    _look_through_families()
    return dict(sorted(_REGISTERED.items()))


@functools.cache
def _look_through_families() -> None:
    for family in FAMILIES:
        package = importlib.import_module(family)
        for module in pkgutil.iter_modules(package.__path__, prefix=f"{family}."):
            importlib.import_module(module.name)


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


def parse_methods(text: str) -> dict[str, Method]:
    """Reads a comma-separated list of methods, each optionally with settings in brackets.

    >>> [m.name for m in parse_methods("rigl[every=50],dense").values()]
    ['drop-and-grow', 'dense']

    Raises:
        SettingError: As `method` and `parse_named`.
    """
    return {label: method(name, **settings) for label, (name, settings) in parse_named(text).items()}
