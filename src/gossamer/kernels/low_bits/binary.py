"""Multiplies signs with signs: 32 products an instruction and lane, exactly.

Both sides hold -1 and 1, a bit each (set: -1). Of K products, those whose bits differ are -1, so the sum is
K - 2 · popcount(x xor w) (Rastegari et al., "XNOR-Net", ECCV 2016, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.kernels.low_bits import products
from gossamer.kernels.low_bits.panels import unpack_bits


def _unpack(words: Tensor) -> Tensor:
    return 1.0 - 2.0 * unpack_bits(words, words.shape[1] * 32).to(torch.float64)


_FAMILY = products.Family("binary", bits=1, planes=1, surplus=1, unpack=_unpack)
_OPERATORS = products.define(_FAMILY)
BINARY_MATMUL, BINARY_LINEAR = _OPERATORS.matmul, _OPERATORS.linear
binary_matmul_reference, binary_linear_reference = _OPERATORS.matmul_reference, _OPERATORS.linear_reference


def binary_matmul(words: Tensor, panels: Tensor, columns: int, outputs: int) -> Tensor:
    """Returns the exact products of rows of signs with the rows of a matrix.

    Args:
        words: (..., ⌈K / 32⌉) int32, from `pack_signs`.
        panels: (⌈R / 16⌉, ⌈K / 32⌉, 16) int32: `to_panels(pack_bits(w < 0))`.
        columns: K, how many inputs a row stands for; words may have room for more.
        outputs: R, how many rows the panels stand for.

    Returns:
        (..., R) int32.

    Raises:
        DataError: An argument has the wrong dtype, shape or device.
    """
    return products.matmul(_FAMILY, _OPERATORS, words, panels, columns, outputs)


def binary_linear(
    words: Tensor,
    panels: Tensor,
    columns: int,
    scale: Tensor,
    *,
    x_scale: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Returns `x_scale · scale · (x @ W.T) + bias`: a linear layer of R outputs.

    Args:
        words: (..., ⌈K / 32⌉) int32, from `pack_signs`.
        panels: (⌈R / 16⌉, ⌈K / 32⌉, 16) int32: `to_panels(pack_bits(w < 0))`.
        columns: K, how many inputs a row stands for; words may have room for more.
        scale: (R,) float32, what 1 in a row of W stands for.
        x_scale: (...,) float32, what 1 in a row of x stands for; None: 1.
        bias: (R,) float32, or None.

    Returns:
        (..., R) float32.

    Raises:
        DataError: An argument has the wrong dtype, shape or device.
    """
    return products.linear(_FAMILY, _OPERATORS, words, panels, columns, scale, x_scale=x_scale, bias=bias)
