"""Reads a TOML or YAML file into tables and lists, and knows on which line each key stands.

What a file may not say is refused where it is first seen: the message names the file, the line and the dotted key.
YAML is read by its safe loader, with two differences: a key twice in one mapping is an error, and `1e-3` is a number.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossamer.errors import FileError, GossamerError, SettingError

Place = tuple[str | int, ...]  # keys and list positions from the top

_YAML_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_MOST = 10_000  # entries of a YAML file


class RecipeError(SettingError):
    """A recipe file does not hold what it should; the message names the file, the line and the key."""


@dataclass(frozen=True)
class Document:
    """What a file holds, and the lines of its keys where they are known."""

    path: Path
    values: dict[str, Any]
    lines: Mapping[Place, int]

    @contextlib.contextmanager
    def blame(self, *place: str | int) -> Iterator[None]:
        """Puts file, line and key in front of the message of an error that is raised inside."""
        try:
            yield
        except RecipeError:
            raise
        except GossamerError as error:
            near = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self.lines), None)
            line = "" if near is None else f":{self.lines[near]}"
            dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)[1:]
            message = re.sub(r"^(Recipe|Changes): ", "", str(error))  # the key says where it is
            key = "" if not place or message.startswith(str(place[-1])) else f"{dotted}: "
            raise RecipeError(f"{self.path}{line}: {key}{message}") from error


def read(path: str | Path) -> Document:
    """Reads a file by its suffix, `.toml`, `.yaml` or `.yml`.

    Raises:
        FileError: It is missing or cannot be read.
        RecipeError: It is no TOML or YAML, or holds no table; the line is named.
    """
    path = Path(path)
    kind = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml}.get(path.suffix.lower())
    if kind is None:
        raise RecipeError(f"{path}: a recipe ends in .toml, .yaml or .yml, so that it is known how to read it")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error}); check the path") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    try:
        values, lines = kind(path, text)
    except RecursionError:
        raise RecipeError(f"{path}: is nested too deeply to be a recipe") from None
    if not isinstance(values, dict):
        found = "nothing" if values is None else f"a {type(values).__name__}"
        raise RecipeError(f"{path}: holds {found}, expected keys and values; `gossamer recipe init` writes an example")
    return Document(path, values, lines)


def _toml(path: Path, text: str) -> tuple[Any, dict[Place, int]]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        where = f":{line[1]}" if line else ""
        raise RecipeError(f"{path}{where}: is not TOML, {message[:1].lower()}{message[1:]}") from error
    return values, _toml_lines(text)


def _toml_lines(text: str) -> dict[Place, int]:
    """Returns the line of each key that begins one, and of each table's header."""
    lines: dict[Place, int] = {}
    table: Place = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]", line)
        key = re.match(r"""\s*([\w\-."' ]+?)\s*=""", line)
        if header:
            table = _keys(header[2])
            if header[1] == "[[":
                table = (*table, counts.get(header[2], 0))
                counts[header[2]] = counts.get(header[2], 0) + 1
            lines.setdefault(table, number)
        elif key:
            lines.setdefault((*table, *_keys(key[1])), number)
    return lines


def _keys(dotted: str) -> Place:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _yaml(path: Path, text: str) -> tuple[Any, dict[Place, int]]:
    import yaml

    Loader: Any = type("Loader", (yaml.SafeLoader,), {})  # noqa: N806 - a class, with one more kind of number
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), "-+0123456789")
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines: dict[Place, int] = {}
        _walk(path, node, (), lines, frozenset())
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise RecipeError(f"{path}{where}: is not YAML, {what}") from error
    except RecipeError:
        raise
    except ValueError as error:  # a date or a number that is none
        raise RecipeError(f"{path}: is not YAML, {error}") from error


def _walk(path: Path, node: Any, place: Place, lines: dict[Place, int], above: frozenset[int]) -> None:
    """Notes the line of every key and item; refuses a key twice in one mapping, and a node inside itself."""
    import yaml

    line = node.start_mark.line + 1
    if id(node) in above:
        raise RecipeError(f"{path}:{line}: an alias stands inside what it stands for; write the value out")
    if len(lines) > _MOST:
        raise RecipeError(f"{path}:{line}: more than {_MOST:,} entries once aliases are written out; shorten it")
    within = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            at = f"{path}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _YAML_KEYS:
                raise RecipeError(f"{at}: a key is not text; put it in quotes")
            if key.value in seen:
                raise RecipeError(f"{at}: {key.value!r} is given twice; give it once")
            seen.add(key.value)
            lines[*place, key.value] = key.start_mark.line + 1
            _walk(path, value, (*place, key.value), lines, within)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[*place, position] = item.start_mark.line + 1
            _walk(path, item, (*place, position), lines, within)
