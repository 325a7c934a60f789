"""Relative paths in a recipe file start at the file's folder, so that it is the same comparison from anywhere.

In memory they start at the current folder, as they do on the command line; these functions turn one into the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gossamer.references import is_reference

PATHS = ("data", "task", "model", "out")  # the keys that may hold a path


def from_file(key: str, value: Any, folder: Path) -> Any:
    """Returns a value as it is meant from the current folder, that a file in `folder` holds."""
    return _mapped(key, value, folder, lambda path: os.path.normpath(folder / path))


def to_file(key: str, value: Any, folder: Path) -> Any:
    """Returns a value as a file in `folder` must hold it; absolute paths stay so."""
    return _mapped(key, value, Path(), lambda path: path if Path(path).is_absolute() else os.path.relpath(path, folder))


def _mapped(key: str, value: Any, folder: Path, change: Callable[[str], str]) -> Any:
    """Returns `value` with the path in it changed, if it holds one."""
    if key == "out" and isinstance(value, str | Path):
        return type(value)(change(str(value)))
    if key not in PATHS or not isinstance(value, str):
        return value
    if key == "data":
        if not names_file(value, folder):
            return value
        changed = change(value)  # where only the file's name is left, it must not be read as that of a data set
        return changed if os.sep in changed else f".{os.sep}{changed}"
    place, bracket, rest = value.partition("[")
    place, colon, attribute = place.rpartition(":")
    if not is_reference(value) or not place.endswith(".py"):
        return value
    return f"{change(place)}{colon}{attribute}{bracket}{rest}"


def names_file(data: str, folder: Path) -> bool:
    """Says whether `data` is the path of a file and not the name of a data set."""
    from gossamer.tasks import datasets

    if data in datasets.names():
        return False
    return os.sep in data or "/" in data or "." in data or (folder / data).is_file()
