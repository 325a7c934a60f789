"""The operators that the gradient of attention is made of: one over the edges, one for mixed scores.

Weights are computed again from one norm a node and head; one number an edge and head is kept. Features are float32 or
wider here.
"""

# ruff: noqa: PLR0917  (operators take their arguments by position)
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.attention.references import (
    ADDITIVE,
    COUNT,
    SCORES,
    WORD,
    Scores,
    attention_back_reference,
    dropout_words,
    leaky_sum_reference,
)
from gossamer.kernels.library import index_error, register


def _cpu(indptr: Tensor, indices: Tensor, values: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    module = native.kernels()
    if module is None or values.dtype is not torch.float32:
        return attention_back_reference(indptr, indices, values, *rest)
    s = Scores(*rest[:COUNT])
    norms, result, grad, starts, targets, edge = (part.contiguous() for part in rest[COUNT:])
    values, near, far = values.contiguous(), s.near.contiguous(), s.far.contiguous()
    mix = native.contiguous(s.mix)
    out = native.empty(*values.shape)
    far_grad = torch.empty(far.shape if s.form == ADDITIVE else (0,))
    score_grad = native.empty(indices.shape[0], values.shape[1])
    inside = module.attention_back(
        values.shape[0],
        grad.shape[0],
        targets.shape[0],
        targets.itemsize,
        starts.data_ptr(),
        targets.data_ptr(),
        s.form,
        *values.shape[1:],
        far.data_ptr(),  # the two have changed places with the directions of the edges
        near.data_ptr(),
        native.address(mix),
        s.slope,
        s.scale,
        s.seed & WORD,
        *dropout_words(s.dropout),
        edge.data_ptr(),
        values.data_ptr(),
        norms.data_ptr(),
        result.data_ptr(),
        grad.data_ptr(),
        out.data_ptr(),
        far_grad.data_ptr() if s.form == ADDITIVE else 0,
        score_grad.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("transpose", grad.shape[0])
    return out, far_grad, score_grad


def _leaky_sum_cpu(
    indptr: Tensor, indices: Tensor, weights: Tensor, near: Tensor, far: Tensor, slope: float, edge: Tensor | None
) -> tuple[Tensor, Tensor]:
    module = native.kernels()
    if module is None or near.dtype is not torch.float32:
        return leaky_sum_reference(indptr, indices, weights, near, far, slope, edge)
    indptr, indices, weights = indptr.contiguous(), indices.contiguous(), weights.contiguous()
    near, far, edge = near.contiguous(), far.contiguous(), native.contiguous(edge)
    slopes, bent = native.empty(*near.shape), native.empty(*near.shape)
    inside = module.leaky_sum(
        near.shape[0],
        far.shape[0],
        indices.shape[0],
        *near.shape[1:],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        native.address(edge),
        weights.data_ptr(),
        near.data_ptr(),
        far.data_ptr(),
        slope,
        slopes.data_ptr(),
        bent.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", far.shape[0])
    return slopes, bent


def _fake(indptr: Tensor, indices: Tensor, values: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    s = Scores(*rest[:COUNT])
    of_far = torch.empty_like(s.far) if s.form == ADDITIVE else values.new_empty(0)
    return torch.empty_like(values), of_far, values.new_empty(indices.shape[0], values.shape[1])


def _leaky_sum_fake(indptr: Tensor, indices: Tensor, weights: Tensor, near: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(near), torch.empty_like(near)


ATTENTION_BACK = register(
    f"attention_back(Tensor indptr, Tensor indices, Tensor values, {SCORES}, Tensor norms, Tensor result, Tensor grad, "
    "Tensor t_indptr, Tensor t_indices, Tensor t_edge) -> (Tensor, Tensor, Tensor)",
    cpu=_cpu,
    reference=attention_back_reference,
    fake=_fake,
)
LEAKY_SUM = register(
    "leaky_sum(Tensor indptr, Tensor indices, Tensor weights, Tensor near, Tensor far, float slope, Tensor? edge) "
    "-> (Tensor, Tensor)",
    cpu=_leaky_sum_cpu,
    reference=leaky_sum_reference,
    fake=_leaky_sum_fake,
)
