"""Turns rows of floats into words of signs, ternary pairs or bytes, with a scale for each row.

Words times scale approximates the row:

    pack_signs     -1 where x < 0, else 1; scale 1, or the mean magnitude, which is the best one in least squares
                   (Rastegari et al., "XNOR-Net", ECCV 2016, equation 6)
    pack_ternary   sign where |x| > threshold, else 0; scale 1 (Li, Zhang & Liu, "Ternary Weight Networks", 2016)
    pack_int8      x / scale to the nearest integer, even on a tie, within [-127, 127]; the scale is given, or the
                   largest magnitude / 127 (Jacob et al., "Quantization and Training of Neural Networks for
                   Efficient Integer-Arithmetic-Only Inference", CVPR 2018)

A row with a NaN has NaN for its scale, and so has a row with an infinity whose scale is its own largest magnitude: the
products of that row are then NaN, as they would be without quantisation. A subnormal number counts as zero; a row for
`pack_int8` without a number of at least 1e-35 is zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.library import register
from gossamer.kernels.low_bits import panels as storage
from gossamer.kernels.low_bits.panels import address, as_rows, check_rows, check_scale, pack_bits, words_of

_LEAST = 1e-35  # rows of smaller numbers are zero: their scale would be subnormal
_TINY = torch.finfo(torch.float32).tiny


def pack_signs(x: Tensor, *, mean: bool = False) -> tuple[Tensor, Tensor]:
    """Packs the signs of x.

    Args:
        x: (..., K) float32.
        mean: Whether the scale is the mean magnitude; else it is 1.

    Returns:
        Words (..., ⌈K / 32⌉), a bit set where x < 0, and scales (...,).

    >>> pack_signs(torch.tensor([1.0, -3.0]), mean=True)
    (tensor([2], dtype=torch.int32), tensor(2.))
    """
    check_rows(x)
    words, scale = PACK_SIGNS(as_rows(x), mean)
    return words.reshape(*x.shape[:-1], words.shape[-1]), scale.reshape(x.shape[:-1])


def pack_ternary(x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Packs x as -1, 0 or 1.

    Args:
        x: (..., K) float32.
        threshold: Magnitudes up to it count as zero; at least 0.

    Returns:
        Words (..., ⌈K / 32⌉, 2), where nonzero and where negative, and scales (...,), each 1 or NaN.
    """
    check_rows(x)
    if not threshold >= 0:
        raise DataError(f"threshold: expected at least 0, found {threshold}")
    words, scale = PACK_TERNARY(as_rows(x), threshold)
    return words.reshape(*x.shape[:-1], *words.shape[1:]), scale.reshape(x.shape[:-1])


def pack_int8(x: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Packs x as signed bytes.

    Args:
        x: (..., K) float32.
        scale: (...,) float32 above 0, what a step of 1 stands for; larger numbers are cut off. None: that of each row.

    Returns:
        Words (..., ⌈K / 4⌉) and scales (...,).
    """
    check_rows(x)
    check_scale(scale, "scale", tuple(x.shape[:-1]), x.device)
    flat = None if scale is None else scale.reshape(-1)
    words, found = PACK_INT8(as_rows(x), flat)
    return words.reshape(*x.shape[:-1], words.shape[-1]), found.reshape(x.shape[:-1])


def pack_signs_reference(x: Tensor, mean: bool) -> tuple[Tensor, Tensor]:
    """The pure-torch reference of `pack_signs` for x (B, K)."""
    scale = x.abs().sum(1) / max(x.shape[1], 1) if mean else _one_or_nan(x)
    return pack_bits(x <= -_TINY), scale


def pack_ternary_reference(x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The pure-torch reference of `pack_ternary` for x (B, K)."""
    sizes = x.abs()
    nonzero = (sizes > threshold) & (sizes >= _TINY)
    return torch.stack([pack_bits(nonzero), pack_bits(nonzero & (x < 0))], -1), _one_or_nan(x)


def pack_int8_reference(x: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """The pure-torch reference of `pack_int8` for x (B, K)."""
    if scale is None:
        peak = x.abs().amax(1) if x.shape[1] else x.new_zeros(x.shape[0])
        small = peak < _LEAST
        inverse = torch.where(small, 0.0, torch.full_like(peak, 127.0) / peak)  # 127.0 / peak would round twice
        found = torch.where(small, 0.0, peak / 127.0)
        found = torch.where(peak.isfinite(), found, torch.nan)
    else:
        inverse = 1.0 / scale
        found = torch.where(x.isnan().any(1), torch.nan, scale)
    codes = (x * inverse[:, None]).nan_to_num(127.0).clamp(-127.0, 127.0).round()
    return storage.pack_bytes(codes.to(torch.int8)), found


def _one_or_nan(x: Tensor) -> Tensor:
    return torch.where(x.isnan().any(1), torch.nan, torch.ones(x.shape[0], device=x.device))


def _pack(
    kernel: str, x: Tensor, words: Tensor, *, threshold: float = 0.0, mean: bool = False, given: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    x = x.contiguous()
    given = None if given is None else given.contiguous()
    scale = torch.empty(x.shape[0])
    run = getattr(native.kernels(), kernel)
    run(*x.shape, address(x), threshold, mean, address(given), address(words), address(scale), torch.get_num_threads())
    return words, scale


def _signs_cpu(x: Tensor, mean: bool) -> tuple[Tensor, Tensor]:
    if not native.available():
        return pack_signs_reference(x, mean)
    return _pack("pack_signs", x, _signs_fake(x, mean)[0], mean=mean)


def _ternary_cpu(x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    if not native.available():
        return pack_ternary_reference(x, threshold)
    return _pack("pack_ternary", x, _ternary_fake(x, threshold)[0], threshold=threshold)


def _int8_cpu(x: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    if not native.available():
        return pack_int8_reference(x, scale)
    return _pack("pack_bytes", x, _int8_fake(x, scale)[0], given=scale)


def _signs_fake(x: Tensor, mean: bool) -> tuple[Tensor, Tensor]:
    del mean
    return x.new_empty(x.shape[0], words_of(x.shape[1], 1), dtype=torch.int32), x.new_empty(x.shape[0])


def _ternary_fake(x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    del threshold
    return x.new_empty(x.shape[0], words_of(x.shape[1], 1), 2, dtype=torch.int32), x.new_empty(x.shape[0])


def _int8_fake(x: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    del scale
    return x.new_empty(x.shape[0], words_of(x.shape[1], 8), dtype=torch.int32), x.new_empty(x.shape[0])


PACK_SIGNS: Any = register(
    "pack_signs(Tensor x, bool mean) -> (Tensor, Tensor)",
    cpu=_signs_cpu,
    reference=pack_signs_reference,
    fake=_signs_fake,
)
PACK_TERNARY: Any = register(
    "pack_ternary(Tensor x, float threshold) -> (Tensor, Tensor)",
    cpu=_ternary_cpu,
    reference=pack_ternary_reference,
    fake=_ternary_fake,
)
PACK_INT8: Any = register(
    "pack_int8(Tensor x, Tensor? scale) -> (Tensor, Tensor)",
    cpu=_int8_cpu,
    reference=pack_int8_reference,
    fake=_int8_fake,
)
