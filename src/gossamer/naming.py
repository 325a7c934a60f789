"""Reads `name[key=value,...]`, the way in which a command line says a method, a network or a reference."""

from __future__ import annotations

import json
import re
from typing import Any

from gossamer.errors import SettingError


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
        match = re.fullmatch(r"([^\[\]=]+?)(?:\[(.*)\])?", item, flags=re.DOTALL)
        if match is None:
            raise SettingError(f"{item!r} does not read as NAME or NAME[KEY=VALUE,...]")
        if item in found:
            raise SettingError(f"{item!r} is listed twice; list each once")
        found[item] = (match[1].strip(), parse_settings(match[2] or "", of=item))
    if not found:
        raise SettingError("no name was given; write for example rigl,magnitude")
    return found


def parse_settings(text: str, *, of: str) -> dict[str, Any]:
    """Reads `key=value,...`; `of` is what an error calls the whole. A value may be `name[key=value,...]` itself.

    >>> parse_settings("every=50, drop=random", of="rigl")
    {'every': 50, 'drop': 'random'}
    >>> parse_settings("score=taylor[power=1]", of="channels")
    {'score': {'name': 'taylor', 'power': 1}}

    Raises:
        SettingError: A setting has no `=`, or is given twice.
    """
    settings: dict[str, Any] = {}
    for pair in _split(text):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise SettingError(f"{of!r}: setting {pair!r} has no '='; write KEY=VALUE")
        if key in settings:
            raise SettingError(f"{of!r}: setting {key!r} is given twice; give it once")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            nested = re.fullmatch(r"([a-z0-9-]+)\[(.*)\]", value, flags=re.DOTALL)
            settings[key] = {"name": nested[1]} | parse_settings(nested[2], of=value) if nested else value
    return settings


def _split(text: str) -> list[str]:
    """Splits at the commas that stand outside brackets, braces and double quotes."""
    parts, depth, start, quoted = [], 0, 0, False
    for place, letter in enumerate(text):
        if letter == '"' and not (quoted and text[place - 1] == "\\"):
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
            if depth < 0:
                raise SettingError(f"{text!r}: ']' at character {place + 1} closes nothing")
        elif letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth or quoted:
        raise SettingError(f"{text!r}: a {'quote' if quoted else repr('[')} is not closed")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
