"""Many numbers that are few different ones: a table of those, and a code of a few bits for each number.

What weight sharing makes of a weight, and what makes it small (Han, Mao & Dally, "Deep Compression", ICLR 2016, §3
and §4). Codes are packed, ⌈log₂ k⌉ bits each for k values, or Huffman coded (Huffman, 1952, as deflate without
matches), whichever is smaller. Values are told apart by their bits, so all come back as they were.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossamer.errors import DataError

MOST = 256  # different values
KINDS = ("packed", "huffman")
_SAMPLE = 4096  # values that are looked at before all are
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded:
    """Coded values.

    Attributes:
        kind: One of `KINDS`.
        table: (k,), the different values, in their dtype.
        codes: uint8, the stream of codes, first value first.
    """

    kind: str
    table: Tensor
    codes: Tensor

    @property
    def bytes(self) -> int:
        """The size of table and codes."""
        return self.table.numel() * self.table.element_size() + self.codes.numel()


def encode(values: Tensor) -> Coded | None:
    """Returns values coded, or None where more than `MOST` are different.

    Args:
        values: Any shape on the CPU, contiguous; real numbers or booleans.
    """
    patterns = values.reshape(-1).view(_BITS[values.element_size()]).numpy()
    if np.unique(patterns[:_SAMPLE]).size > MOST:
        return None
    found, codes = np.unique(patterns, return_inverse=True)
    if found.size > MOST:
        return None
    numbers = codes.astype(np.uint8)
    coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    streams = {
        "packed": _pack(numbers, _width(found.size)),
        "huffman": np.frombuffer(coder.compress(numbers.tobytes()) + coder.flush(), np.uint8).copy(),
    }
    kind = min(KINDS, key=lambda one: streams[one].size)
    return Coded(
        kind=kind, table=torch.from_numpy(found.copy()).view(values.dtype), codes=torch.from_numpy(streams[kind])
    )


def decode(coded: Coded, count: int) -> Tensor:
    """Returns the `count` values that were coded, (count,).

    Raises:
        DataError: Table, codes and count do not belong together.
    """
    stream = coded.codes.numpy()
    try:
        if coded.kind == "packed":
            numbers = _unpack(stream, _width(coded.table.numel()), count)
        elif coded.kind == "huffman":
            numbers = np.frombuffer(zlib.decompress(stream.tobytes(), -zlib.MAX_WBITS), np.uint8)
        else:
            raise DataError(f"stored tensor: unknown code {coded.kind!r}; expected one of {', '.join(KINDS)}")
    except (ValueError, zlib.error) as error:
        raise DataError(f"stored tensor: the codes cannot be read ({error}); the file is damaged") from error
    if numbers.size != count or (count and int(numbers.max()) >= coded.table.numel()):
        raise DataError(
            f"stored tensor: {numbers.size} codes for a table of {coded.table.numel()}, expected {count} codes within "
            "it; the file is damaged"
        )
    return coded.table[torch.from_numpy(numbers.astype(np.int64))]


def _width(values: int) -> int:
    """Returns how many bits tell so many values apart."""
    return max(values - 1, 0).bit_length()


def _pack(codes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    bits = (codes[:, None] >> np.arange(width, dtype=np.uint8)) & 1
    return np.packbits(bits.reshape(-1), bitorder="little")


def _unpack(stream: NDArray[np.uint8], width: int, count: int) -> NDArray[np.uint8]:
    if stream.dtype != np.uint8 or stream.size != -(-count * width // 8):
        raise ValueError(f"{stream.size} bytes, {count} codes of {width} bits need {-(-count * width // 8)}")
    bits = np.unpackbits(stream, count=count * width, bitorder="little").reshape(count, width)
    packed: NDArray[np.uint8] = (bits << np.arange(width, dtype=np.uint8)).sum(1).astype(np.uint8)
    return packed
