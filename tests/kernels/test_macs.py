from __future__ import annotations

import importlib
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.kernels import (
    MACS,
    Steps,
    aggregate,
    attend_additive,
    attend_dot,
    block_linear,
    block_matmul,
    csr_linear,
    csr_matmul,
    edge_dot,
    head_dots,
    maximum,
    propagate,
    sparse_conv2d,
    to_blocks,
)

FAMILIES = ["aggregate", "block_gradients", "block_matmul", "conv2d", "csr_gradients", "csr_matmul"]
FAMILIES += ["maximum", "propagate", *(f"low_bits.{name}" for name in ("binary", "ternary", "int8", "few_bits"))]
FAMILIES += [f"attention.{name}" for name in ("forward", "gradients", "head_dots")]
MODULES = [importlib.import_module(f"gossamer.kernels.{name}") for name in FAMILIES]
INDPTR, INDICES = torch.tensor([0, 2, 2, 3, 5]), torch.tensor([0, 2, 1, 2, 2])


class Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in MACS:
            self.macs += MACS[func](args, out)
        return out


def macs(call: Any) -> int:
    with Count() as count:
        call()
    return count.macs


def test_counts_by_hand():
    x = torch.ones(3, 2)
    assert macs(lambda: aggregate(INDPTR, INDICES, x)) == 5 * 2
    assert macs(lambda: aggregate(INDPTR, INDICES, torch.ones(3, 4, 2), torch.ones(5, 4))) == 5 * 4 * 2
    assert macs(lambda: edge_dot(INDPTR, INDICES, torch.ones(4, 2), x)) == 5 * 2
    assert macs(lambda: csr_matmul(INDPTR, INDICES, torch.ones(5), x)) == 5 * 2
    assert macs(lambda: csr_linear(INDPTR, INDICES, torch.ones(5), torch.ones(7, 3))) == 5 * 7
    assert macs(lambda: propagate(INDPTR, INDICES, x, add=torch.ones(4, 2))) == 5 * 2 + 4 * 2
    assert macs(lambda: maximum(INDPTR, INDICES, x)) == 5 * 2
    heads, near, far = torch.ones(3, 4, 2), torch.ones(4, 4), torch.ones(3, 4)
    assert macs(lambda: attend_additive(INDPTR, INDICES, heads, near, far)) == 5 * 4 * 2
    assert macs(lambda: attend_dot(INDPTR, INDICES, heads, torch.ones(4, 4, 2), heads)) == 2 * 5 * 4 * 2
    assert macs(lambda: head_dots(heads, torch.ones(5, 4, 2))) == 5 * 3 * 4 * 2
    weight = torch.zeros(20, 3)
    weight[0, 0] = weight[17, 1] = weight[17, 2] = 1.0
    assert macs(lambda: block_matmul(*to_blocks(weight), x, 20)) == 3 * 16 * 2
    assert macs(lambda: block_linear(*to_blocks(weight), torch.ones(7, 3), 20)) == 3 * 16 * 7


def test_a_training_step_counts_both_gradients():
    x, weights = torch.ones(3, 2, requires_grad=True), torch.ones(5, requires_grad=True)
    assert macs(lambda: aggregate(INDPTR, INDICES, x, weights).sum().backward()) == 3 * 5 * 2

    blocks = to_blocks(torch.ones(20, 3))
    x, values = torch.ones(7, 3, requires_grad=True), blocks.values.requires_grad_()
    assert macs(lambda: block_linear(*blocks[:2], values, x, 20).sum().backward()) == 3 * (2 * 3 * 16 * 7)
    x, values = torch.ones(7, 3, requires_grad=True), torch.ones(5, requires_grad=True)
    assert macs(lambda: csr_linear(INDPTR, INDICES, values, x).sum().backward()) == 3 * 5 * 7
    values, x = torch.ones(5, requires_grad=True), torch.ones(2, 1, 5, 6, requires_grad=True)
    steps = Steps((1, 3), stride=(1, 2))
    assert macs(lambda: sparse_conv2d(INDPTR, INDICES, values, x, 4, steps).sum().backward()) == 3 * 5 * (2 * 5 * 2)


def test_every_product_has_a_formula():
    names = {str(overload) for overload in MACS}
    operators = {str(value) for module in MODULES for value in vars(module).values() if is_operator(value)}
    assert names == operators - {"gossamer.transpose_csr.default"}


def is_operator(value: Any) -> bool:
    return isinstance(value, torch._ops.OpOverload)
