"""Sums over neighbours with one factor a node, and all that follows the sum, in one pass over the edges.

    out[i] = relu(target[i] · Σ_e source[j] · x[j] + add_scale · add[i] + bias),   j = indices[e]

Symmetric normalisation needs a factor of the source and one of the target, the mean one of the target: no weight is
stored for any edge. The addend is the node itself (GIN) or its own product (GraphSAGE). Features may be stored as
bfloat16, or as int8 with one scale a row (`quantize_rows`), which is then part of the source's factor; sums are
float32. Reading neighbours is what a sum costs, so half the bytes are close to half the time.
"""

# ruff: noqa: PLR0917  (operators take their arguments by position)
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.aggregate import aggregate_reference, checked_transpose
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe, kind
from gossamer.kernels.library import index_error, register
from gossamer.kernels.transpose import TRANSPOSE, Transpose

ELEMENTS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}  # what native kernels read, and its number there


def propagate(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    *,
    source: Tensor | None = None,
    target: Tensor | None = None,
    add: Tensor | None = None,
    add_scale: float = 1.0,
    bias: Tensor | None = None,
    relu: bool = False,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns the scaled sum of `x` over the entries of each row, with an addend, a bias and a ReLU.

    float32, bfloat16 and int8 on the CPU run natively, with a result that does not depend on the number of threads.
    Gradients reach `x`, `add` and `bias`.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, M).
        x: (M, F) floating point, or int8.
        source: (M,) factor of each row of `x`; required for int8, whose scale it holds. No gradient.
        target: (R,) factor of each sum. No gradient.
        add: (R, F) what is added to each sum.
        add_scale: What `add` is multiplied by.
        bias: (F,) added to every row.
        relu: Whether negative results become zero.
        transpose: What `transpose_csr(indptr, indices, M)` returns. Without it, a backward pass builds it anew.

    Returns:
        (R, F) in the dtype of `x`; float32 where `x` is bfloat16 or int8, and so must be everything that is added.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.

    >>> propagate(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.tensor([[1.0], [3.0]]), target=torch.tensor([0.5]))
    tensor([[2.]])
    """
    check_features(indptr, indices, x, source)
    rows, width = indptr.shape[0] - 1, x.shape[1]
    dtype = sum_dtype(x)
    parts = (("target", target, (rows,)), ("add", add, (rows, width)), ("bias", bias, (width,)))
    for name, value, shape in parts:
        check_part(indptr, name, value, shape, dtype)
    for name, value in (("source", source), ("target", target)):
        if value is not None and value.requires_grad:
            raise DataError(f"{name}: asks for a gradient, which factors do not get; detach it or use aggregate")
    back = checked_transpose(transpose, indices, x.shape[0])
    return PROPAGATE(indptr, indices, x, source, target, add, add_scale, bias, relu, *back)  # type: ignore[no-any-return]


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Stores each row as int8 with one scale: x ≈ scale · q, off by at most half a scale.

    Args:
        x: (M, F) or (M, H, F) finite floating point.

    Returns:
        `q`, int8 in [-127, 127] in the shape of x, and `scale`, (M,) float32, the largest size in a row divided by 127.
    """
    rows = x.flatten(1)
    scale = rows.abs().amax(1).float() / 127 if rows.shape[1] else x.new_zeros(x.shape[0], dtype=torch.float32)
    q = (rows / torch.where(scale > 0, scale, 1.0)[:, None]).round_().clamp_(-127, 127).view(x.shape)
    return gatherable(q, torch.int8), scale


def gatherable(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Returns a copy of features on the CPU where rows are read fastest in random order; see `native.empty`.

    Args:
        x: (M, ...).
        dtype: Of the copy, for example bfloat16; None keeps that of `x`.
    """
    return native.empty(*x.shape, dtype=dtype or x.dtype).copy_(x)


def sum_dtype(x: Tensor) -> torch.dtype:
    """Returns the dtype in which rows of `x` are summed."""
    return torch.float32 if x.dtype in ELEMENTS else x.dtype


def check_features(indptr: Tensor, indices: Tensor, x: Tensor, source: Tensor | None) -> None:
    """Checks a pattern, features (M, F) of any stored kind, and the factors of their rows."""
    check_pattern(indptr, indices)
    check_stored(indptr, x, source)
    if x.dim() != 2:
        raise DataError(f"x: expected shape (nodes, features), found {describe(x)}")


def check_stored(indptr: Tensor, x: Tensor, scale: Tensor | None, *, names: tuple[str, str] = ("x", "source")) -> None:
    """Checks the dtype and device of features (M, ...) of any stored kind and the factors of their rows, (M,)."""
    name, scale_name = names
    if x.dtype is not torch.int8:
        check_float(x, name)
    elif scale is None:
        raise DataError(
            f"{scale_name}: is None, but {name} is int8; pass the scale of each row, as quantize_rows returns it"
        )
    check_device(indptr, x, name)
    check_part(indptr, scale_name, scale, x.shape[:1], sum_dtype(x))


def check_part(indptr: Tensor, name: str, value: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raises `DataError` unless `value` is None or has this shape and dtype, on the device of `indptr`."""
    if value is None:
        return
    check_device(indptr, value, name)
    if tuple(value.shape) != tuple(shape) or value.dtype is not dtype:
        wanted = f"{kind(torch.empty(0, dtype=dtype))} of shape {tuple(shape)}"
        raise DataError(f"{name}: expected {wanted}, found {describe(value)}")


def propagate_reference(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    source: Tensor | None = None,
    target: Tensor | None = None,
    add: Tensor | None = None,
    add_scale: float = 1.0,
    bias: Tensor | None = None,
    relu: bool = False,
    *_: Any,
) -> Tensor:
    """The pure-torch reference of `propagate`."""
    x = x.to(sum_dtype(x))
    out = aggregate_reference(indptr, indices, x if source is None else x * source[:, None])
    if target is not None:
        out = out * target[:, None]
    if add is not None:
        out = out + add_scale * add
    if bias is not None:
        out = out + bias
    return out.relu() if relu else out


def _cpu(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    source: Tensor | None,
    target: Tensor | None,
    add: Tensor | None,
    add_scale: float,
    bias: Tensor | None,
    relu: bool,
    *_: Any,
) -> Tensor:
    module = native.kernels()
    if module is None or x.dtype not in ELEMENTS:
        return propagate_reference(indptr, indices, x, source, target, add, add_scale, bias, relu)
    out = native.empty(indptr.shape[0] - 1, x.shape[1])
    indptr, indices, x = indptr.contiguous(), indices.contiguous(), x.contiguous()
    source, target, add, bias = (None if part is None else part.contiguous() for part in (source, target, add, bias))
    inside = module.propagate(
        out.shape[0],
        x.shape[0],
        indices.shape[0],
        x.shape[1],
        ELEMENTS[x.dtype],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        x.data_ptr(),
        native.address(source),
        native.address(target),
        native.address(add),
        add_scale,
        native.address(bias),
        relu,
        out.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", x.shape[0])
    return out


def _fake(indptr: Tensor, indices: Tensor, x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(indptr.shape[0] - 1, x.shape[1], dtype=sum_dtype(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    indptr, indices, x, source, target, _, add_scale, _, relu, *transposed = inputs
    ctx.rows, ctx.dtype, ctx.add_scale = x.shape[0], x.dtype, add_scale
    ctx.save_for_backward(indptr, indices, source, target, output if relu else None, *transposed)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, indices, source, target, out, *transposed = ctx.saved_tensors
    if out is not None:
        grad = grad * (out > 0)
    grad_x = grad_add = grad_bias = None
    if ctx.needs_input_grad[2]:
        there = TRANSPOSE(indptr, indices, ctx.rows) if transposed[0] is None else transposed
        back = (indptr, indices, None)
        grad_x = PROPAGATE(*there[:2], grad, target, source, None, 1.0, None, False, *back).to(ctx.dtype)
    if ctx.needs_input_grad[5]:
        grad_add = grad * ctx.add_scale
    if ctx.needs_input_grad[7]:
        grad_bias = grad.sum(0)
    return None, None, grad_x, None, None, grad_add, None, grad_bias, None, None, None, None


PROPAGATE = register(
    "propagate(Tensor indptr, Tensor indices, Tensor x, Tensor? source, Tensor? target, Tensor? add, float add_scale, "
    "Tensor? bias, bool relu, Tensor? t_indptr, Tensor? t_indices, Tensor? t_edge) -> Tensor",
    cpu=_cpu,
    reference=propagate_reference,
    fake=_fake,
    backward=_backward,
    save=_save,
)
