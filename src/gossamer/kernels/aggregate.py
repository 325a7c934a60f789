"""Sums what arrives at each node of a graph, weighted by edge: the product behind every graph layer.

    out[i] = Σ_{e in indptr[i] : indptr[i + 1]} weights[e] · x[indices[e]]

One pass over the edges that never makes the (E, F) message tensor which gather-and-scatter writes and reads back.
The gradient of `x` is the same sum over the transposed graph; the gradient of `weights` is one dot product an edge
(`edge_dot`). Both are operators with gradients of their own, so second derivatives work too.

Inside, a graph is held in both directions, and `edge` says where the weight of entry `k` stands: at `edge[k]`, or at
`k` where it is None. Swapping the two directions is then all that a gradient has to do.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.library import index_error, register
from gossamer.kernels.transpose import TRANSPOSE, Transpose


def aggregate(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    weights: Tensor | None = None,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns the weighted sum of `x` over the entries of each row.

    float32 on the CPU runs natively, with a result that does not depend on the number of threads; subnormal numbers
    count as zero there. Other dtypes and devices take `aggregate_reference`. NaN and infinity propagate along the
    entries that carry them.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, M).
        x: (M, F) or (M, H, F), floating point.
        weights: None for ones, (E,), or (E, H) for one weight a head; the dtype of `x`.
        transpose: What `transpose_csr(indptr, indices, M)` returns. Without it, a backward pass builds it anew.

    Returns:
        (R, F) or (R, H, F); rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.

    >>> aggregate(torch.tensor([0, 2, 2]), torch.tensor([0, 1]), torch.tensor([[1.0], [2.0]]))
    tensor([[3.],
            [0.]])
    """
    check_pattern(indptr, indices)
    check_float(x, "x")
    check_device(indptr, x, "x")
    if x.dim() not in (2, 3):
        raise DataError(f"x: expected shape (nodes, features) or (nodes, heads, features), found {describe(x)}")
    if weights is not None:
        check_float(weights, "weights", like=x)
        check_device(indptr, weights, "weights")
        if weights.shape not in (indices.shape, (*indices.shape, x.shape[1])) or (weights.dim() == 2 and x.dim() == 2):
            heads = f" or ({indices.shape[0]}, {x.shape[1]})" if x.dim() == 3 else ""
            raise DataError(f"weights: expected shape ({indices.shape[0]},){heads}, found {describe(weights)}")
    back = checked_transpose(transpose, indices, x.shape[0])
    return AGGREGATE(indptr, indices, x, weights, None, *back)  # type: ignore[no-any-return]


def edge_dot(
    indptr: Tensor,
    indices: Tensor,
    left: Tensor,
    right: Tensor,
    *,
    heads: bool = False,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns `left[i] · right[indices[e]]` for every entry `e` of every row `i`: a dense product, sampled.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, M).
        left: (R, F) or (R, H, F), floating point.
        right: (M, F) or (M, H, F), with the dtype of `left`.
        heads: One product a head instead of one an entry; needs (R, H, F).
        transpose: What `transpose_csr(indptr, indices, M)` returns. Without it, a backward pass builds it anew.

    Returns:
        (E,), or (E, H) with `heads`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.

    >>> edge_dot(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.tensor([[2.0]]), torch.tensor([[3.0], [5.0]]))
    tensor([ 6., 10.])
    """
    check_pattern(indptr, indices)
    check_float(left, "left")
    check_float(right, "right")
    check_device(indptr, left, "left")
    check_device(indptr, right, "right")
    dimensions = (3,) if heads else (2, 3)
    if left.dim() not in dimensions or left.shape[0] != indptr.shape[0] - 1:
        wanted = "(rows, heads, features)" if heads else "(rows, features) or (rows, heads, features)"
        raise DataError(f"left: expected shape {wanted} for {indptr.shape[0] - 1} rows, found {describe(left)}")
    if right.dtype is not left.dtype or right.shape[1:] != left.shape[1:]:
        raise DataError(f"right: expected the dtype and features of left, {describe(left)}, found {describe(right)}")
    back = checked_transpose(transpose, indices, right.shape[0])
    return EDGE_DOT(indptr, indices, left, right, heads, *back)  # type: ignore[no-any-return]


def checked_transpose(transpose: Transpose | None, indices: Tensor, rows: int) -> tuple[Tensor | None, ...]:
    """Returns the parts of a transpose, or Nones; raises `DataError` if it is one of another matrix by its sizes."""
    if transpose is None:
        return None, None, None
    if transpose.indptr.shape[0] != rows + 1 or transpose.indices.shape != indices.shape:
        raise DataError(
            f"transpose: expected {rows} rows, those of the input, and {indices.shape[0]} entries, "
            f"found {transpose.indptr.shape[0] - 1} and {transpose.indices.shape[0]}"
        )
    return transpose


def aggregate_reference(
    indptr: Tensor, indices: Tensor, x: Tensor, weights: Tensor | None = None, edge: Tensor | None = None
) -> Tensor:
    """The pure-torch reference of `aggregate`: gather, scale, scatter."""
    messages = x.index_select(0, indices)
    if weights is not None:
        scale = weights if edge is None else weights.index_select(0, edge)
        messages = messages * scale.reshape(*scale.shape, *[1] * (messages.dim() - scale.dim()))
    rows = indptr.shape[0] - 1
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    return x.new_zeros(rows, *x.shape[1:]).index_add_(0, row, messages)


def edge_dot_reference(indptr: Tensor, indices: Tensor, left: Tensor, right: Tensor, heads: bool = False) -> Tensor:
    """Returns `left[row(e)] · right[indices[e]]` for every entry: (E,), or (E, H) a head with `heads`."""
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    product = left.index_select(0, row) * right.index_select(0, indices)
    return product.sum(-1) if heads or product.dim() == 2 else product.sum((-2, -1))


def _aggregate_any(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    weights: Tensor | None = None,
    edge: Tensor | None = None,
    *_: Any,
) -> Tensor:
    return aggregate_reference(indptr, indices, x, weights, edge)


def _aggregate_cpu(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    weights: Tensor | None = None,
    edge: Tensor | None = None,
    *_: Any,
) -> Tensor:
    module = native.kernels()
    if module is None or x.dtype is not torch.float32:
        return aggregate_reference(indptr, indices, x, weights, edge)
    out = native.empty(indptr.shape[0] - 1, *x.shape[1:])
    heads, features = _split(x, by_head=weights is not None and weights.dim() == 2)
    indptr, indices, x = indptr.contiguous(), indices.contiguous(), x.contiguous()
    weights = None if weights is None else weights.contiguous()
    edge = None if edge is None else edge.to(indices.dtype).contiguous()
    inside = module.aggregate(
        out.shape[0],
        x.shape[0],
        indices.shape[0],
        heads,
        features,
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        0 if edge is None else edge.data_ptr(),
        0 if weights is None else weights.data_ptr(),
        x.data_ptr(),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", x.shape[0])
    return out


def _split(x: Tensor, *, by_head: bool) -> tuple[int, int]:
    """Returns (heads, features a head) of `x`; all heads count as one where they share their weights."""
    return (x.shape[1], x.shape[2]) if by_head else (1, math.prod(x.shape[1:]))


def _aggregate_fake(indptr: Tensor, indices: Tensor, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x.new_empty(indptr.shape[0] - 1, *x.shape[1:])


def _edge_dot_any(indptr: Tensor, indices: Tensor, left: Tensor, right: Tensor, heads: bool = False, *_: Any) -> Tensor:
    return edge_dot_reference(indptr, indices, left, right, heads)


def _edge_dot_cpu(indptr: Tensor, indices: Tensor, left: Tensor, right: Tensor, heads: bool = False, *_: Any) -> Tensor:
    module = native.kernels()
    if module is None or left.dtype is not torch.float32:
        return edge_dot_reference(indptr, indices, left, right, heads)
    count, features = _split(left, by_head=heads)
    out = torch.empty((indices.shape[0], count) if heads else indices.shape)
    indptr, indices = indptr.contiguous(), indices.contiguous()
    left, right = left.contiguous(), right.contiguous()
    inside = module.edge_dot(
        left.shape[0],
        right.shape[0],
        indices.shape[0],
        count,
        features,
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        left.data_ptr(),
        right.data_ptr(),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", right.shape[0])
    return out


def _edge_dot_fake(
    indptr: Tensor, indices: Tensor, left: Tensor, right: Tensor, heads: bool = False, *_: Any
) -> Tensor:
    return left.new_empty((indices.shape[0], left.shape[1]) if heads else indices.shape)


def _other_way(columns: int, indptr: Tensor, indices: Tensor, *transposed: Tensor | None) -> tuple[Any, ...]:
    """Returns the transposed direction, made here if the caller had none."""
    return TRANSPOSE(indptr, indices, columns) if transposed[0] is None else transposed


def _aggregate_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    indptr, indices, x, weights, *both = inputs
    ctx.rows = x.shape[0]
    ctx.save_for_backward(indptr, indices, x if ctx.needs_input_grad[3] else None, weights, *both)


def _aggregate_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, indices, x, weights, edge, *transposed = ctx.saved_tensors
    transposed = _other_way(ctx.rows, indptr, indices, *transposed)
    grad_x = grad_weights = None
    if ctx.needs_input_grad[2]:
        there, back = (*transposed[:2], grad, weights, transposed[2]), (indptr, indices, edge)
        grad_x = AGGREGATE(*there, *back)
    if ctx.needs_input_grad[3]:
        heads = weights.dim() == 2
        # Weights stand in the order of the entries of one direction, the one whose `edge` is None.
        if edge is None:
            grad_weights = EDGE_DOT(indptr, indices, grad, x, heads, *transposed)
        else:
            grad_weights = EDGE_DOT(*transposed[:2], x, grad, heads, indptr, indices, edge)
    return None, None, grad_x, grad_weights, None, None, None, None


def _edge_dot_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    indptr, indices, left, right, _, *transposed = inputs
    ctx.save_for_backward(indptr, indices, left, right, *transposed)


def _edge_dot_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, indices, left, right, *transposed = ctx.saved_tensors
    transposed = _other_way(right.shape[0], indptr, indices, *transposed)
    grad_left = grad_right = None
    if ctx.needs_input_grad[2]:
        grad_left = AGGREGATE(indptr, indices, right, grad, None, *transposed)
    if ctx.needs_input_grad[3]:
        there = (*transposed[:2], left, grad, transposed[2])
        grad_right = AGGREGATE(*there, indptr, indices, None)
    return None, None, grad_left, grad_right, None, None, None, None


_BACK = "Tensor? t_indptr, Tensor? t_indices, Tensor? t_edge"
AGGREGATE = register(
    f"aggregate(Tensor indptr, Tensor indices, Tensor x, Tensor? weights, Tensor? edge, {_BACK}) -> Tensor",
    cpu=_aggregate_cpu,
    reference=_aggregate_any,
    fake=_aggregate_fake,
    backward=_aggregate_backward,
    save=_aggregate_save,
)
EDGE_DOT = register(
    f"edge_dot(Tensor indptr, Tensor indices, Tensor left, Tensor right, bool heads, {_BACK}) -> Tensor",
    cpu=_edge_dot_cpu,
    reference=_edge_dot_any,
    fake=_edge_dot_fake,
    backward=_edge_dot_backward,
    save=_edge_dot_save,
)
