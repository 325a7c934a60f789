"""The three families of products of words, so that one suite tests all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from gossamer.kernels import low_bits
from gossamer.kernels.low_bits import binary, int8, ternary
from tests.kernels.low_bits.cases import integers, signs


class Family(NamedTuple):
    draw: Callable[..., Tensor]  # integers of a shape, from a seed
    words: Callable[[Tensor], Tensor]
    matmul: Callable[..., Tensor]
    matmul_reference: Callable[..., Tensor]
    linear: Callable[..., Tensor]
    linear_reference: Callable[..., Tensor]
    operators: tuple[Any, Any]


FAMILIES = {
    "binary": Family(
        signs,
        lambda codes: low_bits.pack_bits(codes < 0),
        low_bits.binary_matmul,
        low_bits.binary_matmul_reference,
        low_bits.binary_linear,
        low_bits.binary_linear_reference,
        (binary.BINARY_MATMUL, binary.BINARY_LINEAR),
    ),
    "ternary": Family(
        lambda *shape, seed=0: integers(-1, 1, *shape, seed=seed),
        lambda codes: low_bits.pack_ternary(codes.float(), 0.5)[0],
        low_bits.ternary_matmul,
        low_bits.ternary_matmul_reference,
        low_bits.ternary_linear,
        low_bits.ternary_linear_reference,
        (ternary.TERNARY_MATMUL, ternary.TERNARY_LINEAR),
    ),
    "int8": Family(
        lambda *shape, seed=0: integers(-128, 127, *shape, seed=seed),
        low_bits.pack_bytes,
        low_bits.int8_matmul,
        low_bits.int8_matmul_reference,
        low_bits.int8_linear,
        low_bits.int8_linear_reference,
        (int8.INT8_MATMUL, int8.INT8_LINEAR),
    ),
}
