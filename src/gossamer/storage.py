"""How one tensor is stored: dense or only what is not zero and where it stands, as it is or coded; the smallest.

A sparse layout is the product of two choices. The *unit* is what is kept or dropped together: a single value,
or 16 rows of one column (the SIMD blocks that `kernels.block_matmul` runs), which costs one position for 16
values. The *positions* are one bit a unit (smallest above about 1/8 density; the same four bits for four
weights that 2:4 hardware uses), or the gaps between kept units in words of 8, 16 or 32 bits, where a word of
all ones means "that many, and no unit yet" (after the relative indices of Han et al., "Deep Compression",
ICLR 2016, §2, whose filler is a stored zero instead). In any layout, values of which at most 256 are different
may be stored as a table and codes (`coding`).

Decoding gives back the bits of every value, NaN payloads and subnormals included, with one exception: a
negative zero is a zero, and where zeros are left out it comes back as +0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossamer import coding
from gossamer.coding import Coded
from gossamer.errors import DataError

_RECORD_BYTES = 256  # another layout than dense must save this much: what its record takes in a file's header
BLOCK_ROWS = 16  # rows that share a column in the SIMD-block layout
_WORDS: dict[int, np.dtype[Any]] = {8: np.dtype("<u1"), 16: np.dtype("<u2"), 32: np.dtype("<u4")}
_BITS = 1  # word size of a bitmask
_DENSE = (0, 0)  # unit and word where every value is stored
_LAYOUTS = (_DENSE, *product((1, BLOCK_ROWS), (_BITS, *_WORDS)))
_INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One stored tensor.

    Attributes:
        record: JSON object that says how to read the arrays: shape, unit (values kept together) and word (bits
            a position; 1 is a bitmask), both 0 where every value is kept; and, if values are coded, the kind of code.
            Empty for a dense tensor as it is, which needs no explanation.
        arrays: `values` in the tensor's own dtype, or `table` and `codes` (C,) uint8; and `positions` (P,) uint8 if
            sparse.
    """

    record: dict[str, Any]
    arrays: dict[str, Tensor]

    @property
    def bytes(self) -> int:
        """The size of all arrays in bytes; the record is not counted."""
        return sum(array.numel() * array.element_size() for array in self.arrays.values())


def encode(tensor: Tensor) -> Encoded:
    """Returns `tensor` in its smallest layout; a tie goes to the earlier of dense, bitmask, gaps, and to no code.

    Args:
        tensor: Any shape and any dtype of real numbers or booleans; sparse layouts and views are made dense
            and contiguous on the CPU first.
    """
    tensor = _plain(tensor)
    layout = _smallest(tensor)
    if layout == _as_it_is(tensor):
        return Encoded(record={}, arrays={"values": tensor})
    record: dict[str, Any] = {"shape": list(tensor.shape), "unit": layout.unit, "word": layout.word}
    values, arrays = tensor, {}
    if layout.unit:
        units = _units(tensor, layout.unit)
        kept = _kept(units)
        values = units[kept].contiguous()
        arrays["positions"] = torch.from_numpy(_write_positions(kept.numpy(), layout.word))
    coded = coding.encode(values) if layout.code else None
    if coded is None:
        return Encoded(record=record, arrays={"values": values, **arrays})
    return Encoded(record={**record, "code": coded.kind}, arrays={"table": coded.table, "codes": coded.codes, **arrays})


def decode(encoded: Encoded) -> Tensor:
    """Returns the dense tensor that `encode` was given, contiguous, on the CPU.

    Raises:
        DataError: The record and the arrays do not belong together; says what does not fit.
    """
    record, arrays = encoded.record, encoded.arrays
    try:
        if not record:
            return arrays["values"]
        shape, unit, word = [int(size) for size in record["shape"]], int(record["unit"]), int(record["word"])
        if (unit, word) not in _LAYOUTS:
            raise DataError(f"stored tensor: unknown layout, unit {unit} and word {word}; written by a newer version?")
        rows, columns = _matrix(shape)
        blocks = -(-rows // unit) if unit else 0
        kept = None
        if unit:
            kept = torch.from_numpy(_read_positions(arrays["positions"].numpy(), word, blocks * columns))
        count = rows * columns if kept is None else int(kept.sum()) * unit
        values = arrays["values"] if "code" not in record else _from_code(record["code"], arrays, count)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"stored tensor: the record lacks or misspells {error}; the file is damaged") from error
    if kept is None:
        return values.reshape(shape)
    if "code" in record:
        values = values.reshape(-1, unit)
    if values.shape != (int(kept.sum()), unit):
        found = tuple(values.shape)
        raise DataError(f"stored tensor: values are {found}, the positions name {int(kept.sum())} units of {unit}")
    units = torch.zeros(blocks * columns, unit, dtype=values.dtype)
    units[kept] = values
    return units.view(blocks, columns, unit).transpose(1, 2).reshape(blocks * unit, columns)[:rows].reshape(shape)


def parts(record: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names of the arrays that belong to a record."""
    values = ("table", "codes") if "code" in record else ("values",)
    return values if record.get("unit") == 0 else (*values, "positions")


def stored_bytes(tensor: Tensor) -> int:
    """Returns the bytes that `encode(tensor)` takes, without building it."""
    return _smallest(_plain(tensor)).bytes


def _plain(tensor: Tensor) -> Tensor:
    dense = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    return dense.cpu().resolve_conj().resolve_neg().contiguous()


def _matrix(shape: list[int]) -> tuple[int, int]:
    """The tensor as rows × columns: its first dimension by all others; a scalar or vector is one row."""
    if len(shape) < 2:
        return 1, int(np.prod(shape, dtype=np.int64))
    return shape[0], int(np.prod(shape[1:], dtype=np.int64))


def _units(tensor: Tensor, unit: int) -> Tensor:
    """Returns (blocks · columns, unit): column by column inside a block of rows, the last zero-padded."""
    rows, columns = _matrix(list(tensor.shape))
    matrix = tensor.reshape(rows, columns)
    blocks = -(-rows // unit)
    if blocks * unit != rows:
        matrix = torch.cat([matrix, matrix.new_zeros(blocks * unit - rows, columns)])
    return matrix.view(blocks, unit, columns).transpose(1, 2).reshape(blocks * columns, unit)


def _kept(units: Tensor) -> Tensor:
    return _nonzero(units).any(1)


def _nonzero(tensor: Tensor) -> Tensor:
    """Says of each element whether it is not zero; nor are subnormals, even where the CPU flushes them."""
    if not tensor.is_floating_point():
        return tensor != 0
    size = tensor.element_size()
    if size == 1:
        return tensor.view(torch.uint8) != 0  # in some 8-bit formats the bits of -0 are NaN
    return (tensor.view(_INTEGER[size]) & torch.iinfo(_INTEGER[size]).max) != 0  # every bit but the sign


class _Layout(NamedTuple):
    """How large a tensor is in a layout, which that is, and whether its values are coded."""

    bytes: int
    unit: int
    word: int
    code: bool


def _as_it_is(tensor: Tensor) -> _Layout:
    return _Layout(tensor.numel() * tensor.element_size(), *_DENSE, False)


def _smallest(tensor: Tensor) -> _Layout:
    """Returns the smallest layout; dense as it is unless another saves what its record takes."""
    dense = _as_it_is(tensor)
    best = min(_sizes(tensor), key=lambda layout: layout.bytes, default=dense)
    return best if best.bytes + _RECORD_BYTES <= dense.bytes else dense


def _sizes(tensor: Tensor) -> Iterable[_Layout]:
    """Yields every layout that fits the tensor, but for dense as it is."""
    size = tensor.element_size()
    if tensor.numel() == 0 or tensor.is_complex():
        return
    coded = coding.encode(tensor)
    if coded is not None:
        yield _Layout(coded.bytes, *_DENSE, True)
    rows, _ = _matrix(list(tensor.shape))
    for unit in (1, BLOCK_ROWS):
        if unit > 1 and rows < unit:
            continue
        units = _units(tensor, unit)
        chosen = _kept(units)
        kept = chosen.numpy()
        values, code = int(kept.sum()) * unit * size, False
        if values >= tensor.numel() * size:
            continue
        few = coding.encode(units[chosen].contiguous()) if coded is not None else None
        if few is not None and few.bytes < values:
            values, code = few.bytes, True
        yield _Layout(values + -(-kept.size // 8), unit, _BITS, code)
        gaps = _gaps(kept)
        for word, dtype in _WORDS.items():
            yield _Layout(values + int((gaps // _filler(dtype) + 1).sum()) * dtype.itemsize, unit, word, code)


def _from_code(kind: str, arrays: dict[str, Tensor], count: int) -> Tensor:
    return coding.decode(Coded(kind=kind, table=arrays["table"], codes=arrays["codes"]), count)


def _filler(dtype: np.dtype[Any]) -> int:
    """The word of all ones: so many units are skipped and none is kept."""
    return int(np.iinfo(dtype).max)


def _gaps(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns how many dropped units stand before each kept one."""
    return np.diff(np.flatnonzero(kept), prepend=-1).astype(np.int64) - 1


def _write_positions(kept: NDArray[np.bool_], word: int) -> NDArray[np.uint8]:
    if word == _BITS:
        return np.packbits(kept, bitorder="little")
    dtype = _WORDS[word]
    gaps = _gaps(kept)
    filler = _filler(dtype)
    words = np.full(int((gaps // filler + 1).sum()), filler, dtype)
    words[np.cumsum(gaps // filler + 1) - 1] = gaps % filler
    return words.view(np.uint8)


def _read_positions(data: NDArray[np.uint8], word: int, units: int) -> NDArray[np.bool_]:
    """Returns the mask of kept units, (units,)."""
    if data.dtype != np.uint8 or data.ndim != 1:
        raise DataError(f"stored tensor: positions are {data.dtype} {data.shape}, expected a row of uint8")
    if word == _BITS:
        if data.size != -(-units // 8):
            raise DataError(f"stored tensor: the bitmask has {data.size} bytes, {units} units need {-(-units // 8)}")
        return np.unpackbits(data, count=units, bitorder="little").astype(bool)
    dtype = _WORDS[word]
    if data.size % dtype.itemsize:
        raise DataError(f"stored tensor: {data.size} bytes of positions are not whole words of {word} bits")
    words = np.ascontiguousarray(data).view(dtype).astype(np.int64)
    filler = _filler(dtype)
    ends = np.cumsum(words + (words != filler)) - 1  # the unit each word ends at, were it kept
    places = ends[words != filler]
    if places.size and int(places[-1]) >= units:
        raise DataError(f"stored tensor: a position names unit {int(places[-1])} of {units}; the file is damaged")
    kept = np.zeros(units, dtype=bool)
    kept[places] = True
    return kept
