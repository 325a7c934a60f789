"""Multiplies signed bytes with sums of 32 bits, exactly wherever the sum fits.

Four neighbouring inputs share a word, which is what the dot-product instructions of current processors take. Scales for
each output and each example follow Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, without zero points: both sides are symmetric.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.kernels.low_bits import products
from gossamer.kernels.low_bits.panels import unpack_bytes


def _unpack(words: Tensor) -> Tensor:
    return unpack_bytes(words, words.shape[1] * 4).to(torch.float64)


_FAMILY = products.Family("int8", bits=8, planes=1, surplus=0, unpack=_unpack)
_OPERATORS = products.define(_FAMILY)
INT8_MATMUL, INT8_LINEAR = _OPERATORS.matmul, _OPERATORS.linear
int8_matmul_reference, int8_linear_reference = _OPERATORS.matmul_reference, _OPERATORS.linear_reference


def int8_matmul(words: Tensor, panels: Tensor, columns: int, outputs: int) -> Tensor:
    """Returns the exact products of rows of bytes with the rows of a matrix.

    Args:
        words: (..., ⌈K / 4⌉) int32, from `pack_int8` or `pack_bytes`.
        panels: (⌈R / 16⌉, ⌈K / 4⌉, 16) int32: `to_panels(pack_bytes(w))`.
        columns: K, how many inputs a row stands for; words may have room for more.
        outputs: R, how many rows the panels stand for.

    Returns:
        (..., R) int32.

    Raises:
        DataError: An argument has the wrong dtype, shape or device.
    """
    return products.matmul(_FAMILY, _OPERATORS, words, panels, columns, outputs)


def int8_linear(
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
        words: (..., ⌈K / 4⌉) int32, from `pack_int8` or `pack_bytes`.
        panels: (⌈R / 16⌉, ⌈K / 4⌉, 16) int32: `to_panels(pack_bytes(w))`.
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
