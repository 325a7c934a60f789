"""How many multiply-accumulates each operator of this package takes, by operator.

A sum without weights counts like one with weights: one multiply-accumulate an entry and feature. Zeros that a
kernel stores, such as the padding of a block, count, because they run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gossamer.kernels.aggregate import AGGREGATE, EDGE_DOT
from gossamer.kernels.attention import ATTENTION, ATTENTION_BACK, DOT, LEAKY_SUM, MIXED
from gossamer.kernels.block_matmul import BLOCK_LINEAR, BLOCK_MATMUL
from gossamer.kernels.csr_matmul import CSR_LINEAR, CSR_MATMUL
from gossamer.kernels.maximum import MAXIMUM, MAXIMUM_BACK
from gossamer.kernels.propagate import PROPAGATE

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


def _propagate(args: Sequence[Any], out: Any) -> int:
    """A sum an entry and feature, and one for the addend."""
    return int(args[1].shape[0]) * int(out.shape[1]) + (0 if args[5] is None else int(out.numel()))


def _maximum(args: Sequence[Any], out: Any) -> int:
    """A comparison an entry and feature, counted like the sum it stands for."""
    return int(args[1].shape[0]) * int(args[2].shape[1])


def _attention(args: Sequence[Any], out: Any) -> int:
    """The weighted sum, and the scores where they are products of features."""
    return int(args[1].shape[0]) * int(math.prod(args[2].shape[1:])) * (2 if args[6] in (DOT, MIXED) else 1)


def _attention_back(args: Sequence[Any], out: Any) -> int:
    return _attention(args, out) + int(args[1].shape[0]) * int(math.prod(args[2].shape[1:]))


def _leaky_sum(args: Sequence[Any], out: Any) -> int:
    return 2 * int(args[1].shape[0]) * int(math.prod(args[3].shape[1:]))


MACS: dict[Any, Formula] = {
    AGGREGATE: _aggregate,
    EDGE_DOT: _edge_dot,
    PROPAGATE: _propagate,
    MAXIMUM: _maximum,
    MAXIMUM_BACK: _maximum,
    ATTENTION: _attention,
    ATTENTION_BACK: _attention_back,
    LEAKY_SUM: _leaky_sum,
    CSR_MATMUL: _csr_matmul,
    CSR_LINEAR: _csr_linear,
    BLOCK_MATMUL: _block_matmul,
    BLOCK_LINEAR: _block_linear,
}
"""Operator overload to `formula(args, out)`: positional arguments and result, as a dispatch mode sees them."""
