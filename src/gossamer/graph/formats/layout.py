"""How a text file of edges is laid out, seen from its first lines.

Known are comma, semicolon, bar, tab and runs of blanks as separators; names of columns in a first line or in
a comment (SNAP's `# FromNodeId ToNodeId`); and three words of other collections about what follows: KONECT's
`% sym positive`, where columns are source, target, weight, time and `bip` keeps the two ends apart;
MatrixMarket's `%%MatrixMarket ... symmetric` with its line of sizes; and Network Repository's use of both.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gossamer.errors import DataError
from gossamer.graph.formats.columns import ROLES, SKIP, Columns, assign, has_ends

Kind = Literal["integer", "number", "string"]

SAMPLE_LINES = 200
INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)

_FIELD = re.compile(r"[^ \t\v\f\n]+")
_KONECT = re.compile(r"%\s*(sym|asym|bip)\b", re.IGNORECASE)
_MATRIX_MARKET = re.compile(r"%%\s*MatrixMarket\b", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """What there is to know before the lines of a file can be read."""

    path: str
    delimiter: str | None  # None = runs of spaces and tabs
    comment: str  # each character starts a comment line
    names: tuple[str, ...]  # what each column is called
    kinds: tuple[Kind, ...]  # what each column holds
    skip: int  # lines before the first edge
    undirected: bool = False  # whether the file says so
    bipartite: bool = False  # whether the file says so

    def split(self, line: str) -> list[str]:
        """Returns the fields of a line."""
        return split(line, self.delimiter)

    def widened(self) -> Layout:
        """Returns this layout with numbers instead of integers everywhere but in the ids."""
        kinds: list[Kind] = [
            "number" if kind == "integer" and name not in ROLES[:2] else kind
            for name, kind in zip(self.names, self.kinds, strict=True)
        ]
        return replace(self, kinds=tuple(kinds))

    def expected(self) -> str:
        """Returns in words what each line should hold."""
        parts = [f"{name} ({kind})" for name, kind in zip(self.names, self.kinds, strict=True) if name != SKIP]
        separator = "blanks" if self.delimiter is None else repr(self.delimiter)
        return f"{len(self.names)} columns separated by {separator}: {', '.join(parts)}"


def detect(
    path: str,
    head: bytes,
    *,
    columns: Columns | None,
    delimiter: str | None,
    header: bool | None,
    comment: str,
    string_ids: bool | None,
) -> Layout:
    """Returns the layout of a file whose first block is `head`; the arguments are those of `read_edges`.

    Raises:
        DataError: The file has no edges, or its layout cannot be told.
    """
    comments, lines = _sample(head, comment)
    if not lines:
        what = "only comments" if comments else "is empty"
        raise DataError(f"{path}: {what}; expected lines with a source and a target")
    matrix = next((text for _, text in comments if _MATRIX_MARKET.match(text)), None)
    konect = next((match for _, text in comments if (match := _KONECT.match(text))), None)
    if matrix is not None:
        lines = lines[1:]  # the line of sizes
        if not lines:
            raise DataError(f"{path}: a MatrixMarket header without entries; expected lines of edges")
    if delimiter is None:
        delimiter = _delimiter([text for _, text in lines])
    elif delimiter == " ":
        delimiter = None
    rows = [split(text, delimiter) for _, text in lines]
    first, (number, sample) = rows[0], lines[0]
    if header is None:
        header = _is_header(rows)
    names: Sequence[str] | None = first if header else None
    if header:
        rows, number = rows[1:], number + 1
        if not rows:
            raise DataError(f"{path}: a header and nothing else; expected lines with a source and a target")
        sample = lines[1][1]
    width = len(first)
    if width < 2:
        raise DataError(f"{path}: one column, as in {sample[:80]!r}; expected source and target: pass delimiter=")
    if names is None and (konect or matrix):
        names = ROLES[:width] if width <= 4 else None
    if names is None:
        names = _names_in_comments(comments, width, delimiter)
    given = assign(path, width, columns, names, sample[:80])
    kinds = [_kind(name, [row[c] for row in rows if len(row) == width], string_ids) for c, name in enumerate(given)]
    if "string" in (kinds[given.index(role)] for role in ROLES[:2]):
        kinds = ["string" if name in ROLES[:2] else kind for name, kind in zip(given, kinds, strict=True)]
    return Layout(
        path=path,
        delimiter=delimiter,
        comment=comment,
        names=tuple(given),
        kinds=tuple(kinds),
        skip=number - 1,
        undirected=bool((konect and konect[1].lower() == "sym") or (matrix and "symmetric" in matrix.lower().split())),
        bipartite=bool(konect and konect[1].lower() == "bip"),
    )


def split(line: str, delimiter: str | None) -> list[str]:
    """Returns the fields of a line, without blanks around them; quotes count only where a delimiter does.

    >>> split(" 1   2", None), split('"a, b" , c', ",")
    (['1', '2'], ['a, b', 'c'])
    """
    if delimiter is None:
        return _FIELD.findall(line)
    quoted = '"' in line and len(line) <= csv.field_size_limit()
    fields = next(csv.reader([line], delimiter=delimiter)) if quoted else line.split(delimiter)
    return [field.strip() for field in fields]


def is_comment(line: str, comment: str) -> bool:
    """Says whether a line starts with a comment character, blanks aside."""
    return line.lstrip(" \t")[:1] in comment if line.strip() and comment else False


def _sample(head: bytes, comment: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Returns the numbered comments before the data, and the first numbered lines of data."""
    comments: list[tuple[int, str]] = []
    lines: list[tuple[int, str]] = []
    start = 0
    number = 0
    while start < len(head) and len(lines) < SAMPLE_LINES:
        end = head.find(b"\n", start)
        end = len(head) if end < 0 else end
        line = head[start:end].decode(errors="replace")
        start, number = end + 1, number + 1
        if is_comment(line, comment):
            if not lines:
                comments.append((number, line.strip()))
        elif line.strip():
            lines.append((number, line))
    return comments, lines


def _delimiter(lines: list[str]) -> str | None:
    """Returns the separator that cuts most lines into the same number of fields, at least two."""
    scores: dict[str | None, int] = {}
    for candidate in (",", ";", "|", "\t", None):
        widths = Counter(len(split(line, candidate)) for line in lines)
        scores[candidate] = max((count for width, count in widths.items() if width > 1), default=0)
    best = max(scores, key=lambda candidate: scores[candidate])
    if best == "\t" and scores[None] == scores[best]:
        # Tabs and spaces mixed in one line: names may hold spaces, numbers do not.
        mixed = any(" " in field for line in lines for field in split(line, "\t"))
        if mixed and all(NUMBER.fullmatch(field) for line in lines[1:] or lines for field in line.split()):
            return None
    return best


def _is_header(rows: list[list[str]]) -> bool:
    """Says whether the first row holds names: it names the ends, or is words above a column of numbers."""
    first = rows[0]
    if any(NUMBER.fullmatch(field) for field in first):
        return False
    whole = [row for row in rows[1:] if len(row) == len(first)]
    return has_ends(first) or any(
        all(NUMBER.fullmatch(field) for field in column) for column in zip(*whole, strict=True)
    )


def _names_in_comments(comments: list[tuple[int, str]], width: int, delimiter: str | None) -> list[str] | None:
    """Returns the names that the last fitting comment before the data gives."""
    for _, text in reversed(comments):
        words = text.lstrip("#% ")
        for names in (split(words, delimiter), words.split()):
            if len(names) == width and has_ends(names):
                return names
    return None


def _kind(name: str, values: list[str], string_ids: bool | None) -> Kind:
    """Returns what a column holds: by its role, and where that leaves a choice by its first values."""
    integers = bool(values) and all(INTEGER.fullmatch(value) for value in values)
    if name in ROLES[:2]:
        if string_ids is None:
            return "string" if sum(bool(NUMBER.fullmatch(value)) for value in values) * 2 < len(values) else "integer"
        return "string" if string_ids else "integer"
    if name == "weight":
        return "number"
    if name == SKIP:
        return "string"
    if integers:
        return "integer"
    return "number" if name == "time" or all(NUMBER.fullmatch(value) for value in values) else "string"
