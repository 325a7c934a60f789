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
from gossamer.kernels.block_matmul import BLOCK_LINEAR, BLOCK_MATMUL
from gossamer.kernels.csr_matmul import CSR_LINEAR, CSR_MATMUL
from gossamer.kernels.low_bits.binary import BINARY_LINEAR, BINARY_MATMUL
from gossamer.kernels.low_bits.few_bits import FEW_BITS_INT8_LINEAR, FEW_BITS_LINEAR
from gossamer.kernels.low_bits.int8 import INT8_LINEAR, INT8_MATMUL
from gossamer.kernels.low_bits.ternary import TERNARY_LINEAR, TERNARY_MATMUL

Formula = Callable[[Sequence[Any], Any], int]


def _aggregate(args: Sequence[Any], out: Any) -> int:
    return int(args[1].shape[0]) * int(math.prod(out.shape[1:]))


def _edge_dot(args: Sequence[Any], out: Any) -> int:
    return int(out.shape[0]) * int(math.prod(args[2].shape[1:]))


def _csr_matmul(args: Sequence[Any], out: Any) -> int:
    return int(args[1].shape[0]) * int(out.shape[1])


def _csr_linear(args: Sequence[Any], out: Any) -> int:
    return int(args[1].shape[0]) * int(out.shape[0])


def _block_matmul(args: Sequence[Any], out: Any) -> int:
    return int(args[2].numel()) * int(out.shape[1])


def _block_linear(args: Sequence[Any], out: Any) -> int:
    return int(args[2].numel()) * int(out.shape[0])


def _words(args: Sequence[Any], out: Any) -> int:
    return int(args[2]) * int(out.numel())


def _few_bits(args: Sequence[Any], out: Any) -> int:
    return int(args[0].shape[1]) * int(out.numel())


def _few_bits_int8(args: Sequence[Any], out: Any) -> int:
    return int(args[7]) * int(out.numel())


MACS: dict[Any, Formula] = {
    AGGREGATE: _aggregate,
    EDGE_DOT: _edge_dot,
    CSR_MATMUL: _csr_matmul,
    CSR_LINEAR: _csr_linear,
    BLOCK_MATMUL: _block_matmul,
    BLOCK_LINEAR: _block_linear,
    BINARY_MATMUL: _words,
    BINARY_LINEAR: _words,
    TERNARY_MATMUL: _words,
    TERNARY_LINEAR: _words,
    INT8_MATMUL: _words,
    INT8_LINEAR: _words,
    FEW_BITS_LINEAR: _few_bits,
    FEW_BITS_INT8_LINEAR: _few_bits_int8,
}
"""Operator overload to `formula(args, out)`: positional arguments and result, as a dispatch mode sees them."""
