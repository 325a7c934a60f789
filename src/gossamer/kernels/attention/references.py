"""What the attention operators compute, in PyTorch: every weight, score and message of every edge is made.

A score's numbers travel together: `Scores` is what the operators take between their other arguments, in this order.
"""

# ruff: noqa: PLR0917  (operators take their arguments by position)
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gossamer.kernels.propagate import sum_dtype

ADDITIVE, DOT, MIXED = 0, 1, 2  # the numbers of the scores in the native kernels
LEVELS = 1 << 32
WORD = LEVELS - 1


class Scores(NamedTuple):
    """How an edge's score comes about; `near` belongs to the row of an entry, and its index picks a row of `far`."""

    near: Tensor  # (R, H) for additive, else (R, H, F)
    far: Tensor  # (M, H) for additive, else (M, H, F)
    far_scale: Tensor | None  # (M,) what rows of `far` are multiplied by
    mix: Tensor | None  # (H, F) for mixed
    form: int
    slope: float  # of the leaky ReLU below zero
    scale: float  # of dot products
    seed: int  # of dropout
    dropout: float  # probability


SCORES = (
    "Tensor near, Tensor far, Tensor? far_scale, Tensor? mix, int form, float slope, float scale, int seed, "
    "float dropout"
)
COUNT = len(Scores._fields)


def kept(places: Tensor, seed: int, dropout: float) -> Tensor:
    """Returns which weights survive dropout: 1 / (1 − dropout) or 0, in the shape of `places`, int64; float64.

    The hash is the last mixing step of MurmurHash3 (Appleby, 2011); the native kernels compute the same.
    """
    hashed = (places & WORD) ^ (((places >> 32) * 0x9E3779B9) & WORD) ^ (seed & WORD)
    hashed = ((hashed ^ (hashed >> 16)) * 0x85EBCA6B) & WORD
    hashed = ((hashed ^ (hashed >> 13)) * 0xC2B2AE35) & WORD
    hashed = hashed ^ (hashed >> 16)
    dropped, boost = dropout_words(dropout)
    return torch.where(hashed < dropped, 0.0, boost).double()


def dropout_words(dropout: float) -> tuple[int, float]:
    """Returns below which hash a weight is dropped, and what the others are multiplied by."""
    dropped = round(dropout * LEVELS)
    if dropped >= LEVELS:
        return WORD, 0.0
    return dropped, LEVELS / (LEVELS - dropped)


def widened(x: Tensor, scale: Tensor | None) -> Tensor:
    """Returns stored features (M, ...) in the dtype in which they are summed, times the scale of each row."""
    wide = x.to(sum_dtype(x))
    return wide if scale is None else wide * scale.reshape(-1, *[1] * (x.dim() - 1))


def _pairs(indptr: Tensor, indices: Tensor, s: Scores) -> tuple[Tensor, Tensor, Tensor]:
    """Returns each entry's row, the argument of its leaky ReLU (or nothing of use), and its scores (E, H)."""
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    near, far = s.near.index_select(0, row), widened(s.far, s.far_scale).index_select(0, indices)
    if s.form == DOT:
        product = near * far
        return row, product, product.sum(-1) * s.scale
    z = near + far
    bent = torch.where(z > 0, z, z * s.slope)
    return row, z, bent if s.mix is None else (bent * s.mix).sum(-1)


def _keep(scores: Tensor, seed: int, dropout: float) -> Tensor:
    places = torch.arange(scores.numel(), device=scores.device).view(scores.shape)
    return kept(places, seed, dropout).to(scores.dtype) if dropout else torch.ones_like(scores)


def attention_reference(
    indptr: Tensor, indices: Tensor, values: Tensor, values_scale: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor]:
    """The result, and each row's largest score and sum of exponentials (2, R, H); `rest` begins with `Scores`."""
    s = Scores(*rest[:COUNT])
    values = widened(values, values_scale)
    row, _z, scores = _pairs(indptr, indices, s)
    rows = indptr.shape[0] - 1
    place = row[:, None].expand_as(scores)
    top = scores.new_zeros(rows, scores.shape[1]).scatter_reduce(0, place, scores, "amax", include_self=False)
    weights = (scores - top.index_select(0, row)).exp()
    total = torch.zeros_like(top).index_add_(0, row, weights)
    weights = weights / total.index_select(0, row) * _keep(scores, s.seed, s.dropout)
    messages = weights[..., None] * values.index_select(0, indices)
    return values.new_zeros(rows, *values.shape[1:]).index_add_(0, row, messages), torch.stack([top, total])


def attention_back_reference(
    indptr: Tensor, indices: Tensor, values: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the values (M, H, F), of additive `far` (M, H), and of each score's argument (E, H).

    `rest` is `Scores`, the norms (R, H), the result and its gradient (R, H, F), and the transposed graph.
    """
    s = Scores(*rest[:COUNT])
    norms, result, grad = rest[COUNT : COUNT + 3]
    row, z, scores = _pairs(indptr, indices, s)
    weights = (scores - norms.index_select(0, row)).exp()
    keep = _keep(scores, s.seed, s.dropout)
    arriving = grad.index_select(0, row)
    flow = (arriving * values.index_select(0, indices)).sum(-1)
    sent = (weights * keep)[..., None] * arriving
    of_values = torch.zeros_like(values).index_add_(0, indices, sent)
    of_scores = weights * (keep * flow - (grad * result).sum(-1).index_select(0, row))
    if s.form == DOT:
        return of_values, values.new_empty(0), of_scores * s.scale
    if s.form == MIXED:
        return of_values, values.new_empty(0), of_scores
    of_scores = torch.where(z > 0, of_scores, of_scores * s.slope)
    return of_values, torch.zeros_like(s.far).index_add_(0, indices, of_scores), of_scores


def leaky_sum_reference(
    indptr: Tensor, indices: Tensor, weights: Tensor, near: Tensor, far: Tensor, slope: float, edge: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Returns Σ_e weights[e] · leaky'(z) and the same with leaky(z), z = near[i] + far[indices[e]]; (R, H, F) each."""
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    z = near.index_select(0, row) + far.index_select(0, indices)
    scale = (weights if edge is None else weights.index_select(0, edge))[..., None]
    slopes = scale * torch.where(z > 0, 1.0, slope).to(z.dtype)
    zeros = torch.zeros_like(near)
    return zeros.index_add(0, row, slopes), zeros.index_add(0, row, slopes * z)
