"""The largest of what arrives at each node, feature by feature: GraphSAGE's max aggregation.

    out[i, f] = max_{e in indptr[i] : indptr[i + 1]} x[indices[e], f]

The gradient goes in equal parts to all that are the maximum, as in `torch.amax`: after a ReLU, ties at zero are the
rule. (`scatter_reduce` differs where the maximum is exactly zero: it counts the zeros it starts from as one more.)
Instead of an index a feature, the forward pass keeps how many share it, and the backward pass finds them again by
comparing, over the transposed graph. Nothing of the size of the edges is made.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.aggregate import checked_transpose
from gossamer.kernels.library import index_error, register
from gossamer.kernels.propagate import ELEMENTS, check_features, sum_dtype
from gossamer.kernels.transpose import TRANSPOSE, Transpose


def maximum(
    indptr: Tensor,
    indices: Tensor,
    x: Tensor,
    *,
    source: Tensor | None = None,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns the largest row of `x` over the entries of each row, feature by feature.

    A NaN is larger than anything; it gets no gradient. Gradients reach `x` to first order.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, M).
        x: (M, F) floating point, or int8.
        source: (M,) the scale of each row of an int8 `x`; rows are multiplied by it before they are compared.
        transpose: What `transpose_csr(indptr, indices, M)` returns. Without it, a backward pass builds it anew.

    Returns:
        (R, F) in the dtype of `x`; float32 where `x` is bfloat16 or int8. Rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.

    >>> maximum(torch.tensor([0, 2, 2]), torch.tensor([0, 1]), torch.tensor([[1.0, 5.0], [3.0, 2.0]]))
    tensor([[3., 5.],
            [0., 0.]])
    """
    check_features(indptr, indices, x, source)
    back = checked_transpose(transpose, indices, x.shape[0])
    wide = x.float() if x.dtype is torch.bfloat16 and x.requires_grad else x
    if source is not None and wide.is_floating_point():
        wide, source = wide * source[:, None], None
    count = wide.requires_grad and torch.is_grad_enabled()
    return MAXIMUM(indptr, indices, wide, source, count, *back)[0]  # type: ignore[no-any-return]


def maximum_reference(
    indptr: Tensor, indices: Tensor, x: Tensor, source: Tensor | None = None, count: bool = True, *_: Any
) -> tuple[Tensor, Tensor]:
    """The pure-torch reference: the maxima, and how many entries have each; no counts unless `count`."""
    x = x.to(sum_dtype(x))
    x = x if source is None else x * source[:, None]
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    sent = x.index_select(0, indices)
    place = row[:, None].expand_as(sent)
    zeros = x.new_zeros(indptr.shape[0] - 1, x.shape[1])
    out = zeros.scatter_reduce(0, place, sent, "amax", include_self=False)
    if not count:
        return out, x.new_empty(0)
    return out, zeros.scatter_add(0, place, (sent == out.index_select(0, row)).to(x.dtype))


def maximum_back_reference(indptr: Tensor, indices: Tensor, x: Tensor, largest: Tensor, share: Tensor) -> Tensor:
    """Returns Σ share[i] over the targets i of each source whose maximum is the source's own number; (M, F)."""
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    same = largest.index_select(0, indices) == x.index_select(0, row)
    return torch.zeros_like(x).index_add_(0, row, share.index_select(0, indices) * same)


def _cpu(
    indptr: Tensor, indices: Tensor, x: Tensor, source: Tensor | None, count: bool, *_: Any
) -> tuple[Tensor, Tensor]:
    module = native.kernels()
    if module is None or x.dtype not in ELEMENTS:
        return maximum_reference(indptr, indices, x, source, count)
    out = native.empty(indptr.shape[0] - 1, x.shape[1])
    ties = torch.empty_like(out) if count else out.new_empty(0)
    indptr, indices, x = indptr.contiguous(), indices.contiguous(), x.contiguous()
    source = None if source is None else source.contiguous()
    inside = module.maximum(
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
        out.data_ptr(),
        ties.data_ptr() if count else 0,
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", x.shape[0])
    return out, ties


def _back_cpu(indptr: Tensor, indices: Tensor, x: Tensor, largest: Tensor, share: Tensor) -> Tensor:
    module = native.kernels()
    if module is None or x.dtype is not torch.float32:
        return maximum_back_reference(indptr, indices, x, largest, share)
    out = native.empty(*x.shape)
    indptr, indices, x = indptr.contiguous(), indices.contiguous(), x.contiguous()
    largest, share = largest.contiguous(), share.contiguous()
    inside = module.maximum_back(
        x.shape[0],
        largest.shape[0],
        indices.shape[0],
        x.shape[1],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        x.data_ptr(),
        largest.data_ptr(),
        share.data_ptr(),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", largest.shape[0])
    return out


def _fake(
    indptr: Tensor, indices: Tensor, x: Tensor, source: Tensor | None, count: bool, *_: Any
) -> tuple[Tensor, Tensor]:
    out = x.new_empty(indptr.shape[0] - 1, x.shape[1], dtype=sum_dtype(x))
    return out, torch.empty_like(out) if count else out.new_empty(0)


def _back_fake(indptr: Tensor, indices: Tensor, x: Tensor, largest: Tensor, share: Tensor) -> Tensor:
    return torch.empty_like(x)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    indptr, indices, x, _, _, *transposed = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(indptr, indices, x, *output, *transposed)


def _backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    indptr, indices, x, largest, ties, *transposed = ctx.saved_tensors
    there = TRANSPOSE(indptr, indices, x.shape[0]) if transposed[0] is None else transposed
    share = grad / ties.clamp(min=1)
    return None, None, MAXIMUM_BACK(*there[:2], x, largest, share), None, None, None, None, None


MAXIMUM = register(
    "maximum(Tensor indptr, Tensor indices, Tensor x, Tensor? source, bool count, "
    "Tensor? t_indptr, Tensor? t_indices, Tensor? t_edge) -> (Tensor, Tensor)",
    cpu=_cpu,
    reference=maximum_reference,
    fake=_fake,
    backward=_backward,
    save=_save,
)
MAXIMUM_BACK = register(
    "maximum_back(Tensor indptr, Tensor indices, Tensor x, Tensor largest, Tensor share) -> Tensor",
    cpu=_back_cpu,
    reference=maximum_back_reference,
    fake=_back_fake,
)
