"""The usual formats of sparse tensors by name, with the bytes they really take.

`storage` takes the smallest of its own layouts for a file; these are those that the literature compares, so that their
sizes can be seen side by side. A tensor is a matrix of its first dimension by all others.

| layout | positions |
|---|---|
| dense | none: zeros are stored |
| bitmask | one bit a weight |
| coo | row and column of each nonzero |
| csr | column of each nonzero; for each row where it ends |
| gaps | zeros before each nonzero in a byte; 255 zeros in a row cost a stored zero (Han et al., ICLR 2016, §2) |
| huffman | as gaps, the bytes coded by how often they come (Huffman, 1952) |
| blocks | 4×4 blocks with any nonzero, whole; their columns and row ends as for csr |
| ell | column of each value; rows are as long as the longest, filled up with zeros (ELLPACK) |
| n-m | two bits a value: its place in 4 consecutive columns, each of which has as many values as the fullest |

Rows, columns and ends take as many bytes (1, 2, 4 or 8) as the largest needs. Decoding gives back the bits of every
value but the sign of a negative zero that is left out.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossamer.errors import DataError, SettingError, unknown

LAYOUTS = ("dense", "bitmask", "coo", "csr", "gaps", "huffman", "blocks", "ell", "n-m")
BLOCK = 4  # rows and columns of a block
PIECE = 4  # columns of a piece of n-m
_REACH = 255  # the longest gap in a byte

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """A tensor in a layout.

    Attributes:
        layout: One of `LAYOUTS`.
        shape: Of the tensor.
        dtype: Of the tensor.
        arrays: What is stored, by what it is.
    """

    layout: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    arrays: Arrays

    @property
    def bytes(self) -> int:
        """The size of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def lay_out(tensor: Tensor, layout: str) -> Stored:
    """Returns a tensor in a layout.

    Args:
        tensor: Any shape; float16, bfloat16, float32, float64 or whole numbers.
        layout: One of `LAYOUTS`.

    Raises:
        SettingError: There is no such layout.
    """
    if layout not in LAYOUTS:
        raise SettingError(unknown("layout", layout, LAYOUTS))
    plain = tensor.detach().cpu().contiguous()
    bits = plain.reshape(_matrix(tuple(tensor.shape))).view(_bits(plain.dtype)).numpy()
    nonzero = (bits & _unsigned(plain.dtype)) != 0
    row, column = np.nonzero(nonzero)
    values = bits[row, column]
    match layout:
        case "dense":
            arrays = {"values": bits.ravel()}
        case "bitmask":
            arrays = {"values": values, "mask": np.packbits(nonzero)}
        case "coo":
            arrays = {"values": values, "rows": _narrow(row), "columns": _narrow(column)}
        case "csr":
            ends = nonzero.sum(1).cumsum()
            arrays = {"values": values, "columns": _narrow(column), "ends": _narrow(ends)}
        case "blocks":
            arrays = _blocks(bits, nonzero)
        case "ell":
            arrays = _ell(bits, nonzero)
        case "n-m":
            arrays = _n_m(bits, nonzero)
        case _:
            arrays = _gaps(bits.ravel(), nonzero.ravel())
            if layout == "huffman":
                coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
                coded = coder.compress(arrays.pop("gaps").tobytes()) + coder.flush()
                arrays["gaps"] = np.frombuffer(coded, np.uint8)
    return Stored(layout=layout, shape=tuple(tensor.shape), dtype=tensor.dtype, arrays=arrays)


def restore(stored: Stored) -> Tensor:
    """Returns the tensor that was stored, on the CPU.

    Raises:
        DataError: The arrays do not fit the shape.
    """
    arrays, (rows, columns) = stored.arrays, _matrix(stored.shape)
    values = arrays["values"]
    bits = np.zeros((rows, columns), values.dtype)
    try:
        match stored.layout:
            case "dense":
                bits = values.reshape(rows, columns).copy()
            case "bitmask":
                bits[np.unpackbits(arrays["mask"], count=rows * columns).astype(bool).reshape(rows, columns)] = values
            case "coo":
                bits[arrays["rows"], arrays["columns"]] = values
            case "csr":
                counts = _counts(arrays["ends"])
                bits[np.repeat(np.arange(rows), counts), arrays["columns"]] = values
            case "blocks":
                bits = _from_blocks(arrays, rows, columns)
            case "ell":
                longest = len(values) // max(rows, 1)
                for slot in reversed(range(longest)):  # what fills a row up lies behind its values
                    bits[np.arange(rows), arrays["columns"][slot::longest]] = values[slot::longest]
            case "n-m":
                bits = _from_n_m(arrays, rows, columns)
            case _:
                gaps = arrays["gaps"]
                if stored.layout == "huffman":
                    gaps = np.frombuffer(zlib.decompress(gaps.tobytes(), -zlib.MAX_WBITS), np.uint8)
                bits.reshape(-1)[np.cumsum(gaps.astype(np.int64) + 1) - 1] = values
    except (ValueError, IndexError, zlib.error) as error:
        raise DataError(f"stored tensor {stored.shape} in layout {stored.layout}: {error}; it is damaged") from error
    return torch.from_numpy(bits).view(stored.dtype).reshape(stored.shape)


def sizes(tensor: Tensor) -> dict[str, int]:
    """Returns the bytes that a tensor takes in each layout.

    >>> sizes(torch.eye(100))["csr"], sizes(torch.ones(100, 100))["dense"]
    (600, 40000)
    """
    return {layout: lay_out(tensor, layout).bytes for layout in LAYOUTS}


def best(tensor: Tensor) -> str:
    """Returns the layout in which a tensor takes the fewest bytes; of several, the first of `LAYOUTS`.

    >>> best(torch.ones(100, 100)), best(torch.eye(100).repeat(1, 2))
    ('dense', 'huffman')
    """
    found = sizes(tensor)
    return min(found, key=lambda layout: found[layout])


def _bits(dtype: torch.dtype) -> torch.dtype:
    return {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]


def _unsigned(dtype: torch.dtype) -> int:
    """Returns a mask of all bits but the sign, or of all for whole numbers, whose sign has no bit of its own."""
    return int(torch.iinfo(_bits(dtype)).max) if dtype.is_floating_point else -1 if dtype.itemsize > 1 else 255


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns rows and columns of a tensor as a matrix: its first dimension by all others; a vector is one row."""
    rows = shape[0] if len(shape) > 1 else 1
    return rows, math.prod(shape) // max(rows, 1)


def _counts(ends: NDArray[Any]) -> NDArray[np.int64]:
    """Returns how many there are in each row, from where each ends."""
    last = ends.astype(np.int64)
    counts: NDArray[np.int64] = last - np.concatenate([np.zeros(1, np.int64), last[:-1]])
    return counts


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Returns whole numbers in the fewest bytes each that hold them all."""
    return numbers.astype(np.min_scalar_type(int(numbers.max()) if numbers.size else 0))


def _gaps(bits: NDArray[Any], nonzero: NDArray[np.bool_]) -> Arrays:
    """Returns values and the zeros before each; a stored zero stands wherever 255 zeros come before it."""
    places = np.flatnonzero(nonzero)
    before = np.diff(places, prepend=-1) - 1
    fillers = before // (_REACH + 1)
    words = np.full(int((fillers + 1).sum()), _REACH, np.uint8)
    values = np.zeros(len(words), bits.dtype)
    at = np.cumsum(fillers + 1) - 1
    words[at], values[at] = before % (_REACH + 1), bits[places]
    return {"values": values, "gaps": words}


def _blocks(bits: NDArray[Any], nonzero: NDArray[np.bool_]) -> Arrays:
    """Returns the values of all blocks with a nonzero, their columns of blocks, and where each row of blocks ends."""
    rows, columns = bits.shape
    pad = ((0, -rows % BLOCK), (0, -columns % BLOCK))
    shape = ((rows + pad[0][1]) // BLOCK, BLOCK, (columns + pad[1][1]) // BLOCK, BLOCK)
    tiles = np.pad(bits, pad).reshape(shape).swapaxes(1, 2)
    held = np.pad(nonzero, pad).reshape(shape).any((1, 3))
    return {
        "values": tiles[held].ravel(),
        "columns": _narrow(np.nonzero(held)[1]),
        "ends": _narrow(held.sum(1).cumsum()),
    }


def _from_blocks(arrays: Arrays, rows: int, columns: int) -> NDArray[Any]:
    high, wide = -(-rows // BLOCK), -(-columns // BLOCK)
    tiles = np.zeros((high, wide, BLOCK, BLOCK), arrays["values"].dtype)
    counts = _counts(arrays["ends"])
    tiles[np.repeat(np.arange(high), counts), arrays["columns"]] = arrays["values"].reshape(-1, BLOCK, BLOCK)
    matrix = tiles.swapaxes(1, 2).reshape(high * BLOCK, wide * BLOCK)[:rows, :columns]
    return np.ascontiguousarray(matrix)


def _ell(bits: NDArray[Any], nonzero: NDArray[np.bool_]) -> Arrays:
    """Returns the values of each row and their columns, nonzeros first, and then zeros of column 0."""
    longest = int(nonzero.sum(1).max(initial=0))
    order = np.argsort(~nonzero, axis=1, kind="stable")[:, :longest]
    held = np.take_along_axis(nonzero, order, 1)
    values = np.where(held, np.take_along_axis(bits, order, 1), 0).astype(bits.dtype)
    return {"values": values.ravel(), "columns": _narrow(np.where(held, order, 0).ravel())}


def _n_m(bits: NDArray[Any], nonzero: NDArray[np.bool_]) -> Arrays:
    """Returns as many values of each piece as the fullest has, and their places in it, four to a byte."""
    pieces = np.pad(bits, ((0, 0), (0, -bits.shape[1] % PIECE))).reshape(-1, PIECE)
    held = np.pad(nonzero, ((0, 0), (0, -bits.shape[1] % PIECE))).reshape(-1, PIECE)
    order = np.argsort(~held, axis=1, kind="stable")[:, : int(held.sum(1).max(initial=0))]
    places = np.unpackbits(order.astype(np.uint8).reshape(-1, 1), axis=1)[:, -2:]
    values = np.where(np.take_along_axis(held, order, 1), np.take_along_axis(pieces, order, 1), 0)
    return {"values": values.astype(bits.dtype).ravel(), "places": np.packbits(places)}


def _from_n_m(arrays: Arrays, rows: int, columns: int) -> NDArray[Any]:
    wide, values = -(-columns // PIECE), arrays["values"]
    pairs = np.unpackbits(arrays["places"], count=2 * len(values)).reshape(-1, 2)
    pieces = np.zeros((rows * wide, PIECE), values.dtype)
    if len(values):
        owner = np.repeat(np.arange(rows * wide), len(values) // (rows * wide))
        pieces[owner, 2 * pairs[:, 0] + pairs[:, 1]] = values
    return np.ascontiguousarray(pieces.reshape(rows, wide * PIECE)[:, :columns])
