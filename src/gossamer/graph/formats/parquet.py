"""Reads edges from Parquet, where columns have names and types already."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from gossamer.errors import DataError, FileError
from gossamer.graph.formats.columns import ROLES, SKIP, Columns, assign

_MAGIC = b"PAR1"


def is_parquet(path: Path) -> bool:
    """Says whether a file starts as a Parquet file does; False where it cannot be opened."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == _MAGIC
    except OSError:
        return False


def read_parquet(path: Path, *, columns: Columns | None, string_ids: bool | None) -> pa.Table:
    """Returns the columns of a Parquet file by role or name; the arguments are those of `read_edges`.

    Ids are read as integers or strings as the file has them; timestamps become integers in the file's unit.

    Raises:
        DataError: A column is missing, of the wrong type, or holds what it may not; the message names the
            row.
        FileError: The file is truncated or damaged.
    """
    try:
        with parquet.ParquetFile(path) as file:
            header = file.schema_arrow.names
            names = assign(str(path), len(header), columns, header, ", ".join(header))
            kept = [(name, column) for name, column in zip(names, header, strict=True) if name != SKIP]
            table = file.read(columns=[column for _, column in kept])
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise FileError(f"{path}: its Parquet content is truncated or damaged ({reason}); fetch it again") from error
    result = {name: _column(path, name, table[column], string_ids) for name, column in kept}
    if not table.num_rows:
        raise DataError(f"{path}: has no rows; expected edges with a source and a target")
    if pa.string() in (result[role].type for role in ROLES[:2]):
        result |= {role: result[role].cast(pa.string()) for role in ROLES[:2]}
    return pa.table(result)


def _column(path: Path, name: str, values: pa.ChunkedArray, string_ids: bool | None) -> pa.ChunkedArray:
    """Returns a column in the type of its role, or refuses it."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if values.null_count:
        row = compute.index(compute.is_null(values), True).as_py()
        raise DataError(f"{path}: row {row}: {name} is missing; expected a value in every row")
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.cast(pa.int32()) if kind.bit_width == 32 else values
        return values.cast(pa.int64())
    if name in ROLES[:2]:
        return _ids(path, name, values, string_ids)
    if name == "weight" or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = _cast(path, name, values, pa.float64())
        if name in ROLES and not compute.all(compute.is_finite(values)).as_py():
            row = compute.index(compute.is_finite(values), False).as_py()
            raise DataError(f"{path}: row {row}: {name} is {values[row].as_py()}; expected a finite number")
        return values
    return _cast(path, name, values, pa.int64()) if name == "time" or pa.types.is_integer(kind) else values


def _ids(path: Path, name: str, values: pa.ChunkedArray, string_ids: bool | None) -> pa.ChunkedArray:
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if string_ids or (text and string_ids is None):
        return _cast(path, name, values, pa.string())
    if not pa.types.is_integer(values.type):
        raise DataError(f"{path}: {name} is of type {values.type}; expected integers, or strings with string_ids=True")
    values = _cast(path, name, values, pa.int64())
    if len(values) and compute.min(values).as_py() < 0:
        row = compute.index(compute.less(values, 0), True).as_py()
        raise DataError(f"{path}: row {row}: {name} is {values[row].as_py()}; expected at least 0, or string_ids=True")
    return values


def _cast(path: Path, name: str, values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{path}: {name} is of type {values.type}; expected values that fit {kind}") from error
