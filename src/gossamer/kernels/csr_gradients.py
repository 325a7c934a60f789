"""The gradient of a CSR matrix's values in a product, computed on the pattern only.

With `out = W x` and `flow` the gradient of `out`, a stored entry (r, c) gets the dot product over the batch of row r
of the flow and row c of the input: what a dense flow · xᵀ has at its place, for the cost of the stored places. (The
gradient of the input is a product with the transposed matrix.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.aggregate import edge_dot_reference
from gossamer.kernels.library import index_error, register
from gossamer.kernels.transpose import TRANSPOSE


def csr_values_reference(indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, by_example: bool) -> Tensor:
    """The pure-torch reference: gather, multiply, sum.

    Args:
        indptr: With `indices` the pattern, R × C; see `csr_matmul`.
        indices: (E,).
        flow: (R, B), or (B, R) by example.
        x: (C, B), or (B, C) by example.
        by_example: Whether `flow` and `x` have one row an example.

    Returns:
        (E,).
    """
    return (
        edge_dot_reference(indptr, indices, flow.T, x.T) if by_example else edge_dot_reference(indptr, indices, flow, x)
    )


def _cpu(indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, by_example: bool) -> Tensor:
    module = native.kernels()
    if module is None or flow.dtype is not torch.float32:
        return csr_values_reference(indptr, indices, flow, x, by_example)
    indptr, indices, flow, x = (tensor.contiguous() for tensor in (indptr, indices, flow, x))
    batch, rows = flow.shape if by_example else flow.shape[::-1]
    width = x.shape[1] if by_example else x.shape[0]
    out = torch.empty(indices.shape[0])
    inside = module.csr_values(
        rows,
        width,
        batch,
        indices.shape[0],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        x.data_ptr(),
        flow.data_ptr(),
        out.data_ptr(),
        by_example,
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", width)
    return out


def _fake(indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, by_example: bool) -> Tensor:
    return x.new_empty(indices.shape[0])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs[:4])
    ctx.by_example = inputs[4]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, indices, flow, x = ctx.saved_tensors
    ops = torch.ops.gossamer
    grad_flow = grad_x = None
    if ctx.needs_input_grad[2]:
        if ctx.by_example:
            grad_flow = ops.csr_linear(indptr, indices, grad, x, None)
        else:
            grad_flow = ops.csr_matmul(indptr, indices, grad, x)
    if ctx.needs_input_grad[3]:
        starts, rows, edge = TRANSPOSE(indptr, indices, x.shape[1] if ctx.by_example else x.shape[0])
        turned = grad.index_select(0, edge)
        if ctx.by_example:
            grad_x = ops.csr_linear(starts, rows, turned, flow, None)
        else:
            grad_x = ops.csr_matmul(starts, rows, turned, flow)
    return None, None, grad_flow, grad_x, None


CSR_VALUES = register(
    "csr_values(Tensor indptr, Tensor indices, Tensor flow, Tensor x, bool by_example) -> Tensor",
    cpu=_cpu,
    reference=csr_values_reference,
    fake=_fake,
    backward=_backward,
    save=_save,
)
