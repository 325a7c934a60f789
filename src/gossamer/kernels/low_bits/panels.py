"""How numbers of few bits are stored: words of 32 bits along the inputs, and panels of 16 outputs.

A row of `K` inputs is a row of int32 *words*: 32 signs, 4 signed bytes, or 32 / bits codes each, with zeros after the
last input. *Panels*, (⌈R / 16⌉, W, 16), hold the same words of R rows of weights, 16 rows side by side, so that one
vector register holds a word of each; all kernels here read weights that way. Bits beyond the last input and rows beyond
the last output are zero. The layout is that of a little-endian processor.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import DataError
from gossamer.kernels.checks import describe, kind

LANES = 16  # rows of a panel
WORD = 32  # bits


def words_of(columns: int, bits: int) -> int:
    """Returns how many words hold `columns` numbers of `bits` bits."""
    return -(-columns * bits // WORD)


def pack_bits(bits: Tensor) -> Tensor:
    """Packs booleans (..., K) into words (..., ⌈K / 32⌉); the first is the lowest bit of the first word.

    >>> pack_bits(torch.tensor([True, False, True]))
    tensor([5], dtype=torch.int32)
    """
    if bits.dtype is not torch.bool or bits.dim() < 1:
        raise DataError(f"bits: expected bool of shape (..., K), found {describe(bits)}")
    padded = _split(F.pad(bits.to(torch.uint8), (0, -bits.shape[-1] % WORD)), 8)
    places = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return _as_words((padded << places).sum(-1, dtype=torch.uint8))


def unpack_bits(words: Tensor, columns: int) -> Tensor:
    """Returns the booleans (..., columns) of words (..., W): the inverse of `pack_bits`."""
    check_words(words, "words", words_of(columns, 1), columns)
    places = torch.arange(8, dtype=torch.uint8, device=words.device)
    bits = (_as_bytes(words).view(torch.uint8).unsqueeze(-1) >> places) & 1
    return bits.flatten(-2)[..., :columns].to(torch.bool)


def pack_bytes(codes: Tensor) -> Tensor:
    """Packs int8 numbers (..., K) into words (..., ⌈K / 4⌉)."""
    if codes.dtype is not torch.int8 or codes.dim() < 1:
        raise DataError(f"codes: expected int8 of shape (..., K), found {describe(codes)}")
    return _as_words(F.pad(codes, (0, -codes.shape[-1] % 4)))


def unpack_bytes(words: Tensor, columns: int) -> Tensor:
    """Returns the int8 numbers (..., columns) of words (..., W): the inverse of `pack_bytes`."""
    check_words(words, "words", words_of(columns, 8), columns)
    return _as_bytes(words)[..., :columns]


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Packs uint8 codes (..., K) below 2^bits into words (..., ⌈K · bits / 32⌉).

    Byte b of a word holds the inputs b, b + 4, b + 8 and so on of that word, from its low bits up.

    Raises:
        DataError: `bits` is not 1, 2 or 4, or a code is too large for it.
    """
    _check_bits(bits)
    if codes.dtype is not torch.uint8 or codes.dim() < 1:
        raise DataError(f"codes: expected uint8 of shape (..., K), found {describe(codes)}")
    if codes.numel() and int(codes.max()) >= 1 << bits:
        raise DataError(f"codes: expected values below {1 << bits} for {bits} bits, found {int(codes.max())}")
    padded = _split(F.pad(codes, (0, -codes.shape[-1] % (WORD // bits))), 8 // bits, 4)
    places = torch.arange(0, 8, bits, dtype=torch.uint8, device=codes.device)
    return _as_words((padded << places[:, None]).sum(-2, dtype=torch.uint8).flatten(-2))


def unpack_codes(words: Tensor, bits: int, columns: int) -> Tensor:
    """Returns the uint8 codes (..., columns) of words (..., W): the inverse of `pack_codes`."""
    _check_bits(bits)
    check_words(words, "words", words_of(columns, bits), columns)
    places = torch.arange(0, 8, bits, dtype=torch.uint8, device=words.device)
    quads = _split(_as_bytes(words).view(torch.uint8), 1, 4)
    codes = (quads >> places[:, None]) & ((1 << bits) - 1)
    return codes.flatten(-3)[..., :columns]


def to_panels(words: Tensor) -> Tensor:
    """Returns the panels of rows of words: (R, W) to (⌈R / 16⌉, W, 16), (R, W, 2) to (⌈R / 16⌉, W, 2, 16)."""
    if words.dtype is not torch.int32 or words.dim() not in (2, 3):
        raise DataError(f"words: expected int32 of shape (rows, W) or (rows, W, 2), found {describe(words)}")
    missing = -words.shape[0] % LANES
    padded = F.pad(words, (0, 0) * (words.dim() - 1) + (0, missing))
    return padded.reshape(padded.shape[0] // LANES, LANES, *words.shape[1:]).movedim(1, -1).contiguous()


def from_panels(panels: Tensor, rows: int) -> Tensor:
    """Returns the first `rows` rows of words that `panels` hold: the inverse of `to_panels`."""
    if panels.dim() not in (3, 4) or panels.shape[-1] != LANES or -(-rows // LANES) != panels.shape[0]:
        raise DataError(
            f"panels: expected shape ({-(-rows // LANES)}, W, 16) for {rows} rows, found {describe(panels)}"
        )
    return panels.movedim(-1, 1).flatten(0, 1)[:rows].contiguous()


def check_words(words: Tensor, name: str, length: int, columns: int) -> None:
    """Raises `DataError` unless `words`, the caller's `name`, is int32 (..., length)."""
    if words.dtype is not torch.int32 or words.dim() < 1 or words.shape[-1] != length:
        raise DataError(
            f"{name}: expected int32 of shape (..., {length}) for {columns} inputs, found {describe(words)}"
        )


def check_panels(panels: Tensor, shape: tuple[int, ...], device: torch.device) -> None:
    """Raises `DataError` unless `panels` is int32 of `shape` on `device`."""
    if panels.dtype is not torch.int32 or panels.shape != shape:
        raise DataError(f"panels: expected int32 of shape {shape}, found {describe(panels)}")
    check_on(panels, "panels", device)


def check_scale(value: Tensor | None, name: str, shape: tuple[int, ...], device: torch.device) -> None:
    """Raises `DataError` unless `value` is None or float32 of `shape` on `device`."""
    if value is None:
        return
    if value.dtype is not torch.float32 or value.shape != shape:
        raise DataError(f"{name}: expected float32 of shape {shape}, found {describe(value)}")
    check_on(value, name, device)


def check_on(value: Tensor, name: str, device: torch.device) -> None:
    """Raises `DataError` unless `value` is on `device`, that of the input."""
    if value.device != device:
        raise DataError(f"{name}: is on {value.device}, but the input is on {device}; move one of them")


def check_rows(x: Tensor, name: str = "x") -> None:
    """Raises `DataError` unless `x` is float32 (..., K)."""
    if x.dtype is not torch.float32 or x.dim() < 1:
        raise DataError(
            f"{name}: expected float32 of shape (..., K), found {describe(x)}; convert it, {kind(x)} is not packed"
        )


def as_rows(x: Tensor, kept: int = 1) -> Tensor:
    """Returns x with all dimensions but the last `kept` made one; dimensions of size 0 are no exception."""
    return x if x.dim() == kept + 1 else x.reshape(math.prod(x.shape[:-kept]), *x.shape[-kept:])


def address(value: Tensor | None) -> int:
    """Returns where the data of a contiguous tensor starts; 0 for None."""
    return 0 if value is None else value.data_ptr()


def _split(x: Tensor, *inner: int) -> Tensor:
    """Returns x (..., n) as (..., n / inner, *inner)."""
    return x.reshape(*x.shape[:-1], x.shape[-1] // math.prod(inner), *inner)


def _as_words(codes: Tensor) -> Tensor:
    """Returns bytes (..., 4 W) as words (..., W)."""
    if codes.numel() == 0:  # whose strides no view likes
        return codes.new_empty(*codes.shape[:-1], codes.shape[-1] // 4, dtype=torch.int32)
    return codes.clone(memory_format=torch.contiguous_format).view(torch.int32)


def _as_bytes(words: Tensor) -> Tensor:
    """Returns words (..., W) as signed bytes (..., 4 W)."""
    if words.numel() == 0:
        return words.new_empty(*words.shape[:-1], words.shape[-1] * 4, dtype=torch.int8)
    # A copy, because a view also minds the stride of a dimension of size 1, which `contiguous` leaves as it is.
    return words.clone(memory_format=torch.contiguous_format).view(torch.int8)


def _check_bits(bits: int) -> None:
    if bits not in (1, 2, 4):
        raise DataError(f"bits: expected 1, 2 or 4, found {bits}")
