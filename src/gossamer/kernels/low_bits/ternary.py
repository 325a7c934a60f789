"""Multiplies numbers that are -1, 0 or 1: 32 products an instruction and lane, exactly.

Each side holds two bits a number, nonzero and negative. A product is nonzero where both are, and negative where then
the signs differ: two counts of bits give the sum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.kernels.low_bits import products
from gossamer.kernels.low_bits.panels import unpack_bits


def _unpack(words: Tensor) -> Tensor:
    nonzero, negative = (unpack_bits(plane, plane.shape[1] * 32).to(torch.float64) for plane in words.unbind(-1))
    return nonzero * (1.0 - 2.0 * negative)


_FAMILY = products.Family("ternary", bits=1, planes=2, surplus=0, unpack=_unpack)
_OPERATORS = products.define(_FAMILY)
TERNARY_MATMUL, TERNARY_LINEAR = _OPERATORS.matmul, _OPERATORS.linear
ternary_matmul_reference, ternary_linear_reference = _OPERATORS.matmul_reference, _OPERATORS.linear_reference


def ternary_matmul(words: Tensor, panels: Tensor, columns: int, outputs: int) -> Tensor:
    """Returns the exact products of rows of ternary numbers with the rows of a matrix.

    Args:
        words: (..., ⌈K / 32⌉, 2) int32, from `pack_ternary`.
        panels: (⌈R / 16⌉, ⌈K / 32⌉, 2, 16) int32: `to_panels` of words as `pack_ternary` makes them.
        columns: K, how many inputs a row stands for; words may have room for more.
        outputs: R, how many rows the panels stand for.

    Returns:
        (..., R) int32.

    Raises:
        DataError: An argument has the wrong dtype, shape or device.
    """
    return products.matmul(_FAMILY, _OPERATORS, words, panels, columns, outputs)


def ternary_linear(
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
        words: (..., ⌈K / 32⌉, 2) int32, from `pack_ternary`.
        panels: (⌈R / 16⌉, ⌈K / 32⌉, 2, 16) int32: `to_panels` of words as `pack_ternary` makes them.
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
