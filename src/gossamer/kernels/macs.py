"""How many multiply-accumulates each operator of this package takes, by operator.

A sum without weights counts like one with weights: one multiply-accumulate an entry and feature. Zeros that a
kernel stores, such as the padding of a block, count, because they run. A product of numbers of a few bits counts like
one of floats: what it saves is time and bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gossamer.kernels.aggregate import AGGREGATE, EDGE_DOT
from gossamer.kernels.attention.forward import ATTENTION
from gossamer.kernels.attention.gradients import ATTENTION_BACK, LEAKY_SUM
from gossamer.kernels.attention.head_dots import HEAD_DOTS, HEAD_DOTS_BACK
from gossamer.kernels.attention.references import DOT, MIXED, Scores
from gossamer.kernels.block_gradients import BLOCK_INPUT, BLOCK_VALUES
from gossamer.kernels.block_matmul import BLOCK_PRODUCT
from gossamer.kernels.conv2d import SPARSE_CONV2D, SPARSE_CONV2D_INPUT, SPARSE_CONV2D_VALUES
from gossamer.kernels.csr_gradients import CSR_INPUT, CSR_VALUES
from gossamer.kernels.csr_matmul import CSR_PRODUCT
from gossamer.kernels.low_bits.binary import BINARY_LINEAR, BINARY_MATMUL
from gossamer.kernels.low_bits.few_bits import FEW_BITS_INT8_LINEAR, FEW_BITS_LINEAR
from gossamer.kernels.low_bits.int8 import INT8_LINEAR, INT8_MATMUL
from gossamer.kernels.low_bits.ternary import TERNARY_LINEAR, TERNARY_MATMUL
from gossamer.kernels.maximum import MAXIMUM, MAXIMUM_BACK
from gossamer.kernels.propagate import PROPAGATE

Formula = Callable[[Sequence[Any], Any], int]


def _aggregate(args: Sequence[Any], out: Any) -> int:
    return int(args[1].shape[0]) * int(math.prod(out.shape[1:]))


def _edge_dot(args: Sequence[Any], out: Any) -> int:
    return int(out.shape[0]) * int(math.prod(args[2].shape[1:]))


def _product(args: Sequence[Any], out: Any) -> int:
    by_example = args[-2]
    return int(args[2].numel()) * int(out.shape[0 if by_example else 1])


def _words(args: Sequence[Any], out: Any) -> int:
    return int(args[2]) * int(out.numel())


def _few_bits(args: Sequence[Any], out: Any) -> int:
    return int(args[0].shape[1]) * int(out.numel())


def _few_bits_int8(args: Sequence[Any], out: Any) -> int:
    return int(args[7]) * int(out.numel())


def _product_input(args: Sequence[Any], out: Any) -> int:
    return int(args[2].numel()) * int(out.shape[0 if args[5] else 1])


def _product_values(args: Sequence[Any], out: Any) -> int:
    by_example = args[-1]
    return int(out.numel()) * int(args[3].shape[0 if by_example else 1])


def _conv2d(args: Sequence[Any], out: Any) -> int:
    return int(args[2].numel()) * int(out.shape[0] * out.shape[2] * out.shape[3])


def _conv2d_input(args: Sequence[Any], out: Any) -> int:
    flow = args[3]
    return int(args[2].numel()) * int(flow.shape[0] * flow.shape[2] * flow.shape[3])


def _conv2d_values(args: Sequence[Any], out: Any) -> int:
    flow = args[2]
    return int(out.numel()) * int(flow.shape[0] * flow.shape[2] * flow.shape[3])


def _propagate(args: Sequence[Any], out: Any) -> int:
    """A sum an entry and feature, and one for the addend."""
    return int(args[1].shape[0]) * int(out.shape[1]) + (0 if args[5] is None else int(out.numel()))


def _maximum(args: Sequence[Any], out: Any) -> int:
    """A comparison an entry and feature, counted like the sum it stands for."""
    return int(args[1].shape[0]) * int(args[2].shape[1])


def _attention(first: int, products: int) -> Formula:
    """The sums and products of features an entry, and the scores where they are products too; `Scores` from `first`."""
    form = first + Scores._fields.index("form")

    def macs(args: Sequence[Any], out: Any) -> int:
        scores = 1 if args[form] in (DOT, MIXED) else 0
        return int(args[1].shape[0]) * int(math.prod(args[2].shape[1:])) * (products + scores)

    return macs


def _head_dots(args: Sequence[Any], out: Any) -> int:
    return int(args[0].numel()) * int(args[1].shape[0])


def _head_dots_back(args: Sequence[Any], out: Any) -> int:
    return 2 * _head_dots(args, out)


def _leaky_sum(args: Sequence[Any], out: Any) -> int:
    return 2 * int(args[1].shape[0]) * int(math.prod(args[3].shape[1:]))


MACS: dict[Any, Formula] = {
    AGGREGATE: _aggregate,
    EDGE_DOT: _edge_dot,
    PROPAGATE: _propagate,
    MAXIMUM: _maximum,
    MAXIMUM_BACK: _maximum,
    ATTENTION: _attention(4, 1),
    ATTENTION_BACK: _attention(3, 2),
    HEAD_DOTS: _head_dots,
    HEAD_DOTS_BACK: _head_dots_back,
    LEAKY_SUM: _leaky_sum,
    CSR_PRODUCT: _product,
    BLOCK_PRODUCT: _product,
    BINARY_MATMUL: _words,
    BINARY_LINEAR: _words,
    TERNARY_MATMUL: _words,
    TERNARY_LINEAR: _words,
    INT8_MATMUL: _words,
    INT8_LINEAR: _words,
    FEW_BITS_LINEAR: _few_bits,
    FEW_BITS_INT8_LINEAR: _few_bits_int8,
    CSR_INPUT: _product_input,
    CSR_VALUES: _product_values,
    BLOCK_INPUT: _product_input,
    BLOCK_VALUES: _product_values,
    SPARSE_CONV2D: _conv2d,
    SPARSE_CONV2D_INPUT: _conv2d_input,
    SPARSE_CONV2D_VALUES: _conv2d_values,
}
"""Operator overload to `formula(args, out)`: positional arguments and result, as a dispatch mode sees them."""
