"""Subnormal numbers count as zero inside every kernel, are never written, and stay what they are outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gossamer.kernels import (
    Steps,
    aggregate,
    attend_additive,
    attend_dot,
    attend_mixed,
    block_linear,
    block_matmul,
    csr_linear,
    csr_matmul,
    edge_dot,
    head_dots,
    maximum,
    native,
    propagate,
    sparse_conv2d,
    to_blocks,
)
from gossamer.kernels.low_bits import (
    few_bits_linear,
    int8_linear,
    pack_bytes,
    pack_few_bits,
    pack_int8,
    pack_signs,
    pack_ternary,
    to_panels,
)
from gossamer.kernels.skipgram import Pass, alias_table, aligned_rows, train_skipgram_
from tests.kernels.patterns import normal, power_law

pytestmark = pytest.mark.skipif(not native.available(), reason="no native kernels here")
TINY = torch.finfo(torch.float32).tiny
NODES, EDGES = 50, 3000  # row 0 is shared by pieces
INDPTR, INDICES = power_law(NODES, EDGES)


def mixed_with_subnormals(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, of which half are subnormal."""
    x = normal(*shape, seed=seed)
    return torch.where(normal(*shape, seed=seed + 100) > 0, x, x * 1e-39)


def flushed(x: Tensor) -> Tensor:
    return torch.where(x.abs() < TINY, torch.zeros_like(x), x)


BLOCKS = to_blocks(torch.where(normal(40, 30, seed=1) > 0.5, normal(40, 30, seed=2), torch.zeros(40, 30)))
STEPS = Steps((2, 2))
CODES = torch.randint(0, 16, (20, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def low_bits(x: Tensor, scales: Tensor) -> Tensor:
    return few_bits_linear(x, pack_few_bits(CODES, scales[:, None], torch.arange(16.0)))


def bytes_product(x: Tensor, scale: Tensor) -> Tensor:
    words, own = pack_int8(x)
    return int8_linear(words, to_panels(pack_bytes(CODES[:, :48].to(torch.int8))), 48, scale, x_scale=own)


def skipgram(vectors: Tensor, contexts: Tensor) -> Tensor:
    left, right = aligned_rows(vectors), aligned_rows(contexts)
    walks = torch.randint(NODES, (40, 8), generator=torch.Generator().manual_seed(0))
    train_skipgram_(left, right, Pass(walks, None, alias_table(np.ones(NODES)), 3, 5, 0.1, 0.1, 0, 40, 7, 1))
    return torch.stack([left, right])


# What each family computes, and the shapes of the inputs that hold subnormal numbers.
FAMILIES: dict[str, tuple[Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "aggregate": (lambda x, w: aggregate(INDPTR, INDICES, x, w), [(NODES, 20), (EDGES,)]),
    "edge_dot": (lambda x, y: edge_dot(INDPTR, INDICES, x, y), [(NODES, 20), (NODES, 20)]),
    "propagate": (lambda x, y, b: propagate(INDPTR, INDICES, x, add=y, bias=b), [(NODES, 20), (NODES, 20), (20,)]),
    "maximum": (lambda x: maximum(INDPTR, INDICES, x), [(NODES, 20)]),
    "additive": (lambda *parts: attend_additive(INDPTR, INDICES, *parts), [(NODES, 4, 20), (NODES, 4), (NODES, 4)]),
    "dot": (lambda *parts: attend_dot(INDPTR, INDICES, *parts), [(NODES, 4, 20)] * 3),
    # Its gradient multiplies by `mix` outside the kernels, so that one is normal.
    "mixed": (lambda *x: attend_mixed(INDPTR, INDICES, *x, normal(4, 20, seed=9)), [(NODES, 4, 20), (NODES, 4, 20)]),
    "head_dots": (head_dots, [(NODES, 4, 20), (2, 4, 20)]),
    "csr_matmul": (lambda v, x: csr_matmul(INDPTR, INDICES, v, x), [(EDGES,), (NODES, 20)]),
    "csr_linear": (lambda v, x: csr_linear(INDPTR, INDICES, v, x), [(EDGES,), (7, NODES)]),
    "block_matmul": (lambda x: block_matmul(*BLOCKS, x, 40), [(30, 20)]),
    "block_linear": (lambda x: block_linear(*BLOCKS, x, 40), [(7, 30)]),
    "sparse_conv2d": (
        lambda v, x: sparse_conv2d(torch.tensor([0, 3, 5]), torch.tensor([0, 3, 7, 1, 4]), v, x, 2, STEPS),
        [(5,), (3, 2, 6, 7)],
    ),
}
WITHOUT_GRADIENTS: dict[str, tuple[Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "few_bits": (low_bits, [(7, 48), (20,)]),
    "int8": (bytes_product, [(7, 48), (20,)]),
    "signs": (lambda x: pack_signs(x)[1], [(7, 48)]),
    "ternary": (lambda x: pack_ternary(x, 0.5)[0], [(7, 48)]),
    "skipgram": (skipgram, [(NODES, 20), (NODES, 20)]),
}


def results(call: Callable[..., Tensor], inputs: list[Tensor], *, gradients: bool) -> list[Tensor]:
    inputs = [x.clone().requires_grad_(gradients) for x in inputs]
    out = call(*inputs)
    if gradients:
        out.backward(flushed(mixed_with_subnormals(*out.shape, seed=50)))
    return [out.detach(), *(x.grad for x in inputs if x.grad is not None)]


def has_subnormals(x: Tensor) -> bool:
    return bool(((x != 0) & (x.abs() < TINY)).any())


def keeps_subnormals() -> bool:
    """Says whether this thread and those that torch shares work with still compute with subnormal numbers."""
    return bool((torch.full((1 << 20,), 1e-40) * 1.0 > 0).all())


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("name", [*FAMILIES, *WITHOUT_GRADIENTS])
@pytest.mark.parametrize("count", [1, 2])
def test_subnormal_inputs_count_as_zero_and_the_mode_is_restored(name, count):
    torch.set_num_threads(count)
    call, shapes = (FAMILIES | WITHOUT_GRADIENTS)[name]
    inputs = [mixed_with_subnormals(*shape, seed=place) for place, shape in enumerate(shapes)]
    assert all(has_subnormals(x) for x in inputs)
    got = results(call, inputs, gradients=name in FAMILIES)
    expected = results(call, [flushed(x) for x in inputs], gradients=name in FAMILIES)
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)
    assert keeps_subnormals()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", ["aggregate", "propagate", "head_dots", "csr_matmul", "block_matmul", "edge_dot"])
def test_results_that_would_be_subnormal_are_zero(name):
    call, shapes = FAMILIES[name]
    inputs = [normal(*shape, seed=place) * 1e-20 for place, shape in enumerate(shapes)]
    if name in ("propagate", "block_matmul"):
        inputs = [x * 1e-19 for x in inputs]
    assert not has_subnormals(call(*inputs))


FIRST_CALL = """
import torch
from gossamer.kernels.csr_matmul import csr_linear
torch.set_num_threads(2)
indptr, indices = torch.arange(0, 90_001, 300), torch.arange(300, dtype=torch.int32).repeat(300)
csr_linear(indptr, indices, torch.ones(90_000), torch.ones({batch}, 300))
assert bool((torch.full((1 << 20,), 1e-40) * 1.0 > 0).all())
"""


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_threads_that_a_product_starts_keep_subnormals(batch):
    subprocess.run([sys.executable, "-c", FIRST_CALL.format(batch=batch)], check=True)
