"""The operator of attention: the native kernel forward, and how its gradient is put together from three others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.aggregate import AGGREGATE
from gossamer.kernels.attention.gradients import ATTENTION_BACK, LEAKY_SUM
from gossamer.kernels.attention.references import (
    ADDITIVE,
    COUNT,
    DOT,
    SCORES,
    WORD,
    Scores,
    attention_reference,
    dropout_words,
    widened,
)
from gossamer.kernels.library import index_error, register
from gossamer.kernels.propagate import ELEMENTS, sum_dtype
from gossamer.kernels.transpose import TRANSPOSE


def _cpu(
    indptr: Tensor, indices: Tensor, values: Tensor, values_scale: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor]:
    module = native.kernels()
    if module is None or values.dtype not in ELEMENTS:
        return attention_reference(indptr, indices, values, values_scale, *rest)
    s = Scores(*rest[:COUNT])
    out = native.empty(indptr.shape[0] - 1, *values.shape[1:])
    tops, totals = norms = torch.empty(2, *out.shape[:2])
    indptr, indices, values = indptr.contiguous(), indices.contiguous(), values.contiguous()
    near, far = s.near.contiguous(), s.far.contiguous()
    far_scale, mix, values_scale = (native.contiguous(part) for part in (s.far_scale, s.mix, values_scale))
    inside = module.attention(
        out.shape[0],
        values.shape[0],
        indices.shape[0],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        s.form,
        *values.shape[1:],
        near.data_ptr(),
        far.data_ptr(),
        native.address(far_scale),
        native.address(mix),
        s.slope,
        s.scale,
        s.seed & WORD,
        *dropout_words(s.dropout),
        ELEMENTS[values.dtype],
        values.data_ptr(),
        native.address(values_scale),
        out.data_ptr(),
        tops.data_ptr(),
        totals.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", values.shape[0])
    return out, norms


def _fake(indptr: Tensor, indices: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    out = values.new_empty(indptr.shape[0] - 1, *values.shape[1:], dtype=sum_dtype(values))
    return out, out.new_empty(2, *out.shape[:2])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    indptr, indices, values, values_scale, *scores = inputs[: 4 + COUNT]
    near, far, far_scale, mix, *ctx.settings = scores
    ctx.values_are_far = far is values
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(
        indptr, indices, values, values_scale, near, far, far_scale, mix, *inputs[4 + COUNT :], *output
    )


def _backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    indptr, indices, stored, values_scale, near, stored_far, far_scale, mix, *there, out, norms = ctx.saved_tensors
    form, slope = ctx.settings[:2]
    # Features that are stored in few bits are widened once: the gradient reads each source's row in order anyway.
    values = widened(stored, values_scale)
    far = values if ctx.values_are_far else widened(stored_far, far_scale)
    if there[0] is None:
        there = TRANSPOSE(indptr, indices, values.shape[0])
    tops, totals = norms
    scores = Scores(near, far, None, mix, *ctx.settings)
    norms = tops + totals.log()  # of rows without entries never read
    grad_values, grad_far, of_scores = ATTENTION_BACK(indptr, indices, values, *scores, norms, out, grad, *there)
    grad_mix = None
    if form == ADDITIVE:
        grad_near = torch.segment_reduce(of_scores, "sum", offsets=indptr, axis=0, initial=0.0)
    elif form == DOT:
        grad_near = AGGREGATE(indptr, indices, far, of_scores, None, *there)
        grad_far = AGGREGATE(*there[:2], near, of_scores, there[2], indptr, indices, None)
    else:
        slopes, bent = LEAKY_SUM(indptr, indices, of_scores, near, far, slope, None)
        grad_near, grad_mix = mix * slopes, bent.sum(0)
        grad_far = mix * LEAKY_SUM(*there[:2], of_scores, far, near, slope, there[2])[0]
    if ctx.values_are_far:
        grad_values, grad_far = grad_values.add_(grad_far), None  # one sum, rounded once
    given = (_narrowed(grad_values, stored, values_scale), None, grad_near, _narrowed(grad_far, stored_far, far_scale))
    return None, None, *given, None, grad_mix, *[None] * 8


def _narrowed(grad: Tensor | None, stored: Tensor, scale: Tensor | None) -> Tensor | None:
    """Returns the gradient of what `widened` was given, from that of what it returned."""
    if grad is None or not stored.is_floating_point():
        return None
    return (grad if scale is None else grad * scale.reshape(-1, *[1] * (grad.dim() - 1))).to(stored.dtype)


ATTENTION = register(
    f"attention(Tensor indptr, Tensor indices, Tensor values, Tensor? values_scale, {SCORES}, "
    "Tensor? t_indptr, Tensor? t_indices, Tensor? t_edge) -> (Tensor, Tensor)",
    cpu=_cpu,
    reference=attention_reference,
    fake=_fake,
    backward=_backward,
    save=_save,
)
