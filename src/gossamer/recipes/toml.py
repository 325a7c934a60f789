"""Writes tables as TOML that `tomllib` reads back equal; reading is in the standard library, writing is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gossamer.errors import SettingError


def write_toml(table: Mapping[str, Any]) -> str:
    """Returns a table as TOML text: plain values first, then each table of its own.

    Args:
        table: Of text, numbers, booleans, lists and tables of these. A value of None is left out.

    Raises:
        SettingError: A value that TOML has no form for; the key is named.

    >>> print(write_toml({"seeds": [0, 1], "training": {"epochs": 5}}), end="")
    seeds = [0, 1]
    <BLANKLINE>
    [training]
    epochs = 5
    """
    there = {key: value for key, value in table.items() if value is not None}
    parts = [_rows({key: value for key, value in there.items() if not isinstance(value, Mapping)})]
    parts += [f"[{_key(key)}]\n{_rows(value)}" for key, value in there.items() if isinstance(value, Mapping)]
    return "\n".join(part for part in parts if part)


def value_text(value: Any, key: str = "") -> str:
    """Returns one value on one line; a table becomes an inline one.

    >>> value_text({"name": "rigl", "every": 5})
    '{ name = "rigl", every = 5 }'

    Raises:
        SettingError: As `write_toml`.
    """
    if isinstance(value, Mapping):
        pairs = ", ".join(
            f"{_key(name)} = {value_text(item, name)}" for name, item in value.items() if item is not None
        )
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(value_text(item, key) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)  # as 0.1, 1e-05, inf and nan, which are TOML too
    expected = "text, a number, true or false, or lists and tables of them"
    raise SettingError(f"{key}: {value!r} has no form in TOML; expected {expected}")


def _rows(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {value_text(value, key)}\n" for key, value in table.items() if value is not None)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else value_text(name)
