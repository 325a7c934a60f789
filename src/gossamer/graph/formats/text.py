"""Reads the lines of a text file of edges, fast where they are well-formed and precisely where they are not.

Each block goes through Arrow's CSV reader, after comments and runs of blanks, which that reader does not
know, are taken out with byte searches. If a block is refused, its lines are read again one by one, only to
say which line is wrong and why; both readings follow the same `Layout`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow_csv

from gossamer.errors import DataError
from gossamer.graph.formats import streams
from gossamer.graph.formats.columns import ROLES, SKIP, Columns
from gossamer.graph.formats.layout import INTEGER, NUMBER, Layout, detect, is_comment

_TYPES = {"integer": pa.int64(), "number": pa.float64(), "string": pa.string()}
_BLANKS = bytes.maketrans(b"\t\v\f", b"   ")
_PLUS = re.compile(rb"(^|[\s,;|\"])\+(?=[0-9.])", re.MULTILINE)
_BLANK_LINE = re.compile(rb"(?m)^[ \t]+$\n?")
_CLIP = 80


def read_text(
    path: Path,
    *,
    columns: Columns | None,
    delimiter: str | None,
    header: bool | None,
    comment: str,
    string_ids: bool | None,
    block_bytes: int = streams.BLOCK_BYTES,
) -> tuple[pa.Table, Layout]:
    """Returns the columns of a text file by name, and its layout; the arguments are those of `read_edges`.

    Raises:
        DataError: The file holds something else than edges; the message names the line.
        FileError: The file is missing or damaged.
    """
    layout: Layout | None = None
    tables: list[pa.Table] = []
    line = 1  # the number of the block's first line
    for content in streams.blocks(path, block_bytes):
        block = _text(path, content)
        lines = block.count(b"\n")
        if layout is None:
            block = block.removeprefix(b"\xef\xbb\xbf")
            layout = detect(
                str(path),
                block,
                columns=columns,
                delimiter=delimiter,
                header=header,
                comment=comment,
                string_ids=string_ids,
            )
            block = block.split(b"\n", layout.skip)[-1]
            line += layout.skip
            lines -= layout.skip
        table = _parse(block, layout)
        if table is None:
            layout = layout.widened()
            table = _parse(block, layout)
        if table is None or not _sound(table, layout):
            raise locate(block, line, layout)
        tables.append(table)
        line += lines
    if layout is None:
        raise DataError(f"{path}: is empty; expected lines with a source and a target")
    # Blocks read before the layout was widened hold integers where the later ones hold numbers.
    return pa.concat_tables(tables, promote_options="permissive"), layout


def locate(block: bytes, line: int, layout: Layout) -> DataError:
    """Returns the error that says what is wrong with a block, and where.

    Args:
        block: The lines that could not be read.
        line: The number of the first of them in the file, from 1.
        layout: What they should look like.
    """
    last = line
    for number, raw in enumerate(block.split(b"\n"), start=line):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return DataError(f"{layout.path}: line {number}: is not UTF-8 text, {raw[:_CLIP]!r}; convert the file")
        if not text.strip() or is_comment(text, layout.comment):
            continue
        last = number
        wrong = _wrong(text, layout)
        if wrong:
            shown = text if len(text) <= _CLIP else text[:_CLIP] + "..."
            return DataError(f"{layout.path}: line {number}: {wrong}, in {shown!r}; expected {layout.expected()}")
    return DataError(f"{layout.path}: lines {line} to {last} could not be read; expected {layout.expected()}")


def _text(path: Path, block: bytes) -> bytes:
    """Returns the block with newlines for every end of a line, or refuses what is not text."""
    if b"\0" in block:
        raise DataError(f"{path}: is not a text file (it holds NUL bytes); expected an edge list or Parquet")
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block


def _parse(block: bytes, layout: Layout) -> pa.Table | None:
    """Returns the columns of a block, or None where Arrow refuses it."""
    block = _plain(block, layout)
    kept = [name for name in layout.names if name != SKIP]
    types = {name: _TYPES[kind] for name, kind in zip(layout.names, layout.kinds, strict=True) if name != SKIP}
    if not block.strip():
        return pa.table({name: pa.array([], types[name]) for name in kept})
    # Columns left out need names too, each its own.
    names = [f"{SKIP}{place}" if name == SKIP else name for place, name in enumerate(layout.names)]
    try:
        # One thread: where Arrow is still starting its own when a short command ends, the process aborts.
        table = arrow_csv.read_csv(
            pa.BufferReader(block),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=2**24, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.delimiter or " ", quote_char=False if layout.delimiter is None else '"'
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, include_columns=kept, null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    for place, name in enumerate(kept):
        if types[name] == pa.string():
            table = table.set_column(place, name, compute.utf8_trim_whitespace(table[name]))
    return table


def _plain(block: bytes, layout: Layout) -> bytes:
    """Returns a block without what Arrow's reader does not know: comments, runs of blanks, plus signs."""
    if layout.delimiter is None:
        block = block.translate(_BLANKS)
        while b"  " in block:
            block = block.replace(b"  ", b" ")
        block = block.replace(b"\n ", b"\n").replace(b" \n", b"\n").strip(b" ")
    if any(character.encode() in block for character in layout.comment):
        block = re.sub(rb"(?m)^[ \t]*[" + re.escape(layout.comment.encode()) + rb"].*\n?", b"", block)
    if block[:1] in (b" ", b"\t") or b"\n " in block or b"\n\t" in block:
        block = _BLANK_LINE.sub(b"", block)
    if b"+" in block and "string" not in layout.kinds:
        block = _PLUS.sub(rb"\1", block)
    return block


def _sound(table: pa.Table, layout: Layout) -> bool:
    """Says whether ids are not negative or empty, and weights and times finite."""
    if not table.num_rows:
        return True
    for name, kind in zip(layout.names, layout.kinds, strict=True):
        if name in ROLES[:2] and kind == "integer" and compute.min(table[name]).as_py() < 0:
            return False
        if name in ROLES[:2] and kind == "string" and compute.min(compute.binary_length(table[name])).as_py() == 0:
            return False
        if name in ROLES[2:] and kind == "number" and not compute.all(compute.is_finite(table[name])).as_py():
            return False
    return True


def _wrong(text: str, layout: Layout) -> str | None:
    """Returns what is wrong with a line, or None."""
    fields = layout.split(text)
    if len(fields) != len(layout.names):
        return f"{len(fields)} columns"
    for field, name, kind in zip(fields, layout.names, layout.kinds, strict=True):
        if name == SKIP:
            continue
        if name in ROLES[:2]:
            wrong = _wrong_id(field, kind)
        elif kind == "string" or NUMBER.fullmatch(field):
            wrong = "is not finite" if kind == "number" and not math.isfinite(float(field)) else None
        else:
            wrong = "is not a finite number"
        if wrong:
            return f"{name} {field[:_CLIP]!r} {wrong}"
    return None


def _wrong_id(field: str, kind: str) -> str | None:
    if kind == "string":
        return None if field else "is empty"
    if not INTEGER.fullmatch(field):
        return "is not an integer (string_ids=True takes names)"
    digits = field.lstrip("+-0")
    if digits and field.startswith("-"):
        return "is negative (string_ids=True takes any name)"
    if len(digits) > 19 or int(digits or "0") >= 2**63:
        return "does not fit 64 bits (string_ids=True takes any name)"
    return None
