"""Softmax attention over the neighbours of each node, with scores made on the fly, forward and backward.

    out[i, h] = Σ_e softmax_e(score(i, j, h)) · values[j, h]        over e in indptr[i] : indptr[i + 1], j = indices[e]

    additive   leaky(target[i, h] + source[j, h])               GAT: Veličković et al., ICLR 2018, eq. (3)
    dot        scale · queries[i, h] · keys[j, h]               TransformerConv: Shi et al., IJCAI 2021, eq. (3)
    mixed      mix[h] · leaky(target[i, h] + source[j, h])      GATv2: Brody, Alon & Yahav, ICLR 2022, eq. (7)

One pass over the edges with a running maximum and total, as FlashAttention does for dense attention (Dao et al.,
NeurIPS 2022): forward, nothing of the size of the edges is made; backward, one number an edge and head. Weights are
computed again from one norm a node and head. Dropout of weights needs no mask either: whether one is dropped is a hash
of the seed and its place, the same in both directions.
"""

# ruff: noqa: PLR0917  (operators take their arguments by position)
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.kernels import native
from gossamer.kernels.aggregate import AGGREGATE, checked_transpose
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.library import index_error, register
from gossamer.kernels.transpose import TRANSPOSE, Transpose

ADDITIVE, DOT, MIXED = 0, 1, 2  # the numbers of the scores in the native kernels
_LEVELS = 1 << 32
_WORD = _LEVELS - 1


def attend_additive(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    target: Tensor,
    source: Tensor,
    *,
    slope: float = 0.2,
    dropout: float = 0.0,
    seed: int = 0,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns attention with scores leaky(target[i] + source[j]), one number a head.

    float32 on the CPU runs natively, with a result that does not depend on the number of threads. Gradients reach
    `values`, `target` and `source`, to first order.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, M).
        values: (M, H, F) floating point.
        target: (R, H), like `values`.
        source: (M, H), like `values`.
        slope: Of the leaky ReLU below zero.
        dropout: Probability of dropping a weight, in [0, 1]; the others grow to keep the expectation.
        seed: Says which weights are dropped.
        transpose: What `transpose_csr(indptr, indices, M)` returns. Without it, a backward pass builds it anew.

    Returns:
        (R, H, F); rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.
        SettingError: `dropout` is outside [0, 1].
    """
    rows, heads = indptr.shape[0] - 1, values.shape[1] if values.dim() == 3 else 0
    parts: dict[str, tuple[Tensor, tuple[int, ...]]] = {
        "target": (target, (rows, heads)),
        "source": (source, (values.shape[0], heads)),
    }
    _check(indptr, indices, values, parts, dropout)
    back = checked_transpose(transpose, indices, values.shape[0])
    scores = (ADDITIVE, slope, 1.0, seed, dropout)
    return ATTENTION(indptr, indices, values, target, source, None, *scores, *back)[0]  # type: ignore[no-any-return]


def attend_dot(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    queries: Tensor,
    keys: Tensor,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns attention with scores scale · queries[i] · keys[j]; otherwise as `attend_additive`.

    Args:
        indptr: (R + 1,) int64.
        indices: (E,) int32 or int64 in [0, M).
        values: (M, H, F) floating point.
        queries: (R, H, F), like `values`.
        keys: (M, H, F), like `values`.
        scale: None means 1 / √F.
        dropout: Probability of dropping a weight, in [0, 1].
        seed: Says which weights are dropped.
        transpose: What `transpose_csr(indptr, indices, M)` returns.

    Returns:
        (R, H, F); rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.
        SettingError: `dropout` is outside [0, 1].
    """
    rows = indptr.shape[0] - 1
    parts = {"queries": (queries, (rows, *values.shape[1:])), "keys": (keys, tuple(values.shape))}
    _check(indptr, indices, values, parts, dropout)
    back = checked_transpose(transpose, indices, values.shape[0])
    scale = max(values.shape[2], 1) ** -0.5 if scale is None else scale
    scores = (DOT, 0.0, scale, seed, dropout)
    return ATTENTION(indptr, indices, values, queries, keys, None, *scores, *back)[0]  # type: ignore[no-any-return]


def attend_mixed(
    indptr: Tensor,
    indices: Tensor,
    target: Tensor,
    source: Tensor,
    mix: Tensor,
    *,
    slope: float = 0.2,
    dropout: float = 0.0,
    seed: int = 0,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns attention over `source` with scores mix · leaky(target[i] + source[j]); otherwise as `attend_additive`.

    Args:
        indptr: (R + 1,) int64.
        indices: (E,) int32 or int64 in [0, M).
        target: (R, H, F), like `source`.
        source: (M, H, F) floating point; the values too.
        mix: (H, F), like `source`.
        slope: Of the leaky ReLU below zero.
        dropout: Probability of dropping a weight, in [0, 1].
        seed: Says which weights are dropped.
        transpose: What `transpose_csr(indptr, indices, M)` returns.

    Returns:
        (R, H, F); rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.
        SettingError: `dropout` is outside [0, 1].
    """
    rows = indptr.shape[0] - 1
    parts = {"target": (target, (rows, *source.shape[1:])), "mix": (mix, tuple(source.shape[1:]))}
    _check(indptr, indices, source, parts, dropout, name="source")
    back = checked_transpose(transpose, indices, source.shape[0])
    scores = (MIXED, slope, 1.0, seed, dropout)
    return ATTENTION(indptr, indices, source, target, source, mix, *scores, *back)[0]  # type: ignore[no-any-return]


def _check(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    parts: Mapping[str, tuple[Tensor, tuple[int, ...]]],
    dropout: float,
    *,
    name: str = "values",
) -> None:
    check_pattern(indptr, indices)
    check_float(values, name)
    check_device(indptr, values, name)
    if values.dim() != 3:
        raise DataError(f"{name}: expected shape (nodes, heads, features), found {describe(values)}")
    for part, (value, shape) in parts.items():
        check_float(value, part)
        check_device(indptr, value, part)
        if tuple(value.shape) != shape or value.dtype is not values.dtype:
            raise DataError(f"{part}: expected shape {shape} and the dtype of {name}, found {describe(value)}")
    if not 0.0 <= dropout <= 1.0:
        raise SettingError(f"dropout probability is {dropout!r}; expected a number in [0, 1]")


def kept(places: Tensor, seed: int, dropout: float) -> Tensor:
    """Returns which weights survive dropout: 1 / (1 − dropout) or 0, in the shape of `places`, int64; float64.

    The hash is the last mixing step of MurmurHash3 (Appleby, 2011); the native kernels compute the same.
    """
    hashed = (places & _WORD) ^ (((places >> 32) * 0x9E3779B9) & _WORD) ^ (seed & _WORD)
    hashed = ((hashed ^ (hashed >> 16)) * 0x85EBCA6B) & _WORD
    hashed = ((hashed ^ (hashed >> 13)) * 0xC2B2AE35) & _WORD
    hashed = hashed ^ (hashed >> 16)
    dropped, boost = _dropout_words(dropout)
    return torch.where(hashed < dropped, 0.0, boost).double()


def _dropout_words(dropout: float) -> tuple[int, float]:
    """Returns below which hash a weight is dropped, and what the others are multiplied by."""
    dropped = round(dropout * _LEVELS)
    if dropped >= _LEVELS:
        return _WORD, 0.0
    return dropped, _LEVELS / (_LEVELS - dropped)


def _pairs(
    indptr: Tensor,
    indices: Tensor,
    near: Tensor,
    far: Tensor,
    mix: Tensor | None,
    form: int,
    slope: float,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns each entry's row, the argument of its leaky ReLU (or nothing of use), and its scores (E, H)."""
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    if form == DOT:
        product = near.index_select(0, row) * far.index_select(0, indices)
        return row, product, product.sum(-1) * scale
    z = near.index_select(0, row) + far.index_select(0, indices)
    bent = torch.where(z > 0, z, z * slope)
    return row, z, bent if mix is None else (bent * mix).sum(-1)


def _keep(scores: Tensor, seed: int, dropout: float) -> Tensor:
    places = torch.arange(scores.numel(), device=scores.device).view(scores.shape)
    return kept(places, seed, dropout).to(scores.dtype) if dropout else torch.ones_like(scores)


def attention_reference(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    near: Tensor,
    far: Tensor,
    mix: Tensor | None,
    form: int,
    slope: float,
    scale: float,
    seed: int,
    dropout: float,
    *_: Any,
) -> tuple[Tensor, Tensor]:
    """The pure-torch reference of all three forms: the result, and each row's largest score and sum of exponentials."""
    row, _z, scores = _pairs(indptr, indices, near, far, mix, form, slope, scale)
    rows = indptr.shape[0] - 1
    place = row[:, None].expand_as(scores)
    top = scores.new_zeros(rows, scores.shape[1]).scatter_reduce(0, place, scores, "amax", include_self=False)
    weights = (scores - top.index_select(0, row)).exp()
    total = torch.zeros_like(top).index_add_(0, row, weights)
    weights = weights / total.index_select(0, row) * _keep(scores, seed, dropout)
    messages = weights[..., None] * values.index_select(0, indices)
    return values.new_zeros(rows, *values.shape[1:]).index_add_(0, row, messages), torch.stack([top, total])


def attention_back_reference(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    near: Tensor,
    far: Tensor,
    mix: Tensor | None,
    form: int,
    slope: float,
    scale: float,
    seed: int,
    dropout: float,
    norms: Tensor,
    inner: Tensor,
    grad: Tensor,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the values (M, H, F), of additive `far` (M, H), and of each score's argument (E, H)."""
    row, z, scores = _pairs(indptr, indices, near, far, mix, form, slope, scale)
    weights = (scores - norms.index_select(0, row)).exp()
    keep = _keep(scores, seed, dropout)
    arriving = grad.index_select(0, row)
    flow = (arriving * values.index_select(0, indices)).sum(-1)
    sent = (weights * keep)[..., None] * arriving
    of_values = torch.zeros_like(values).index_add_(0, indices, sent)
    of_scores = weights * (keep * flow - inner.index_select(0, row))
    if form == DOT:
        return of_values, values.new_empty(0), of_scores * scale
    if form == MIXED:
        return of_values, values.new_empty(0), of_scores
    of_scores = torch.where(z > 0, of_scores, of_scores * slope)
    return of_values, torch.zeros_like(far).index_add_(0, indices, of_scores), of_scores


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


def _cpu(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    near: Tensor,
    far: Tensor,
    mix: Tensor | None,
    form: int,
    slope: float,
    scale: float,
    seed: int,
    dropout: float,
    *_: Any,
) -> tuple[Tensor, Tensor]:
    module = native.kernels()
    if module is None or values.dtype is not torch.float32:
        return attention_reference(indptr, indices, values, near, far, mix, form, slope, scale, seed, dropout)
    out = native.empty(indptr.shape[0] - 1, *values.shape[1:])
    tops, totals = norms = torch.empty(2, *out.shape[:2])
    indptr, indices, values = indptr.contiguous(), indices.contiguous(), values.contiguous()
    near, far, mix = near.contiguous(), far.contiguous(), None if mix is None else mix.contiguous()
    inside = module.attention(
        out.shape[0],
        values.shape[0],
        indices.shape[0],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        form,
        *values.shape[1:],
        near.data_ptr(),
        far.data_ptr(),
        native.address(mix),
        slope,
        scale,
        seed & _WORD,
        *_dropout_words(dropout),
        values.data_ptr(),
        out.data_ptr(),
        tops.data_ptr(),
        totals.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", values.shape[0])
    return out, norms


def _back_cpu(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    near: Tensor,
    far: Tensor,
    mix: Tensor | None,
    form: int,
    slope: float,
    scale: float,
    seed: int,
    dropout: float,
    norms: Tensor,
    inner: Tensor,
    grad: Tensor,
    *transposed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    module = native.kernels()
    if module is None or values.dtype is not torch.float32:
        parts = (values, near, far, mix, form, slope, scale, seed, dropout, norms, inner, grad)
        return attention_back_reference(indptr, indices, *parts)
    values, near, far = values.contiguous(), near.contiguous(), far.contiguous()
    norms, inner, grad = norms.contiguous(), inner.contiguous(), grad.contiguous()
    starts, targets, edge = (part.contiguous() for part in transposed)
    mix = None if mix is None else mix.contiguous()
    out = native.empty(*values.shape)
    far_grad = torch.empty(far.shape if form == ADDITIVE else (0,))
    score_grad = torch.empty(indices.shape[0], values.shape[1])
    inside = module.attention_back(
        values.shape[0],
        grad.shape[0],
        targets.shape[0],
        targets.itemsize,
        starts.data_ptr(),
        targets.data_ptr(),
        form,
        *values.shape[1:],
        far.data_ptr(),  # the two have changed places with the directions of the edges
        near.data_ptr(),
        native.address(mix),
        slope,
        scale,
        seed & _WORD,
        *_dropout_words(dropout),
        edge.data_ptr(),
        values.data_ptr(),
        norms.data_ptr(),
        inner.data_ptr(),
        grad.data_ptr(),
        out.data_ptr(),
        far_grad.data_ptr() if form == ADDITIVE else 0,
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
    near, far, edge = near.contiguous(), far.contiguous(), None if edge is None else edge.contiguous()
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


def _fake(indptr: Tensor, indices: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    out = values.new_empty(indptr.shape[0] - 1, *values.shape[1:])
    return out, out.new_empty(2, *out.shape[:2])


def _back_fake(indptr: Tensor, indices: Tensor, values: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    far, form = rest[1], rest[3]
    of_far = torch.empty_like(far) if form == ADDITIVE else values.new_empty(0)
    return torch.empty_like(values), of_far, values.new_empty(indices.shape[0], values.shape[1])


def _leaky_sum_fake(indptr: Tensor, indices: Tensor, weights: Tensor, near: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(near), torch.empty_like(near)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    indptr, indices, values, near, far, mix, *ctx.scores, t_indptr, t_indices, t_edge = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(indptr, indices, values, near, far, mix, t_indptr, t_indices, t_edge, *output)


def _backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    indptr, indices, values, near, far, mix, *there, out, norms = ctx.saved_tensors
    form, slope = ctx.scores[:2]
    if there[0] is None:
        there = TRANSPOSE(indptr, indices, values.shape[0])
    tops, totals = norms
    norms = tops + totals.log()  # of rows without entries never read
    given = (indptr, indices, values, near, far, mix, *ctx.scores)
    grad_values, grad_far, scores = ATTENTION_BACK(*given, norms, (grad * out).sum(-1), grad, *there)
    grad_mix = None
    if form == ADDITIVE:
        grad_near = torch.segment_reduce(scores, "sum", offsets=indptr, axis=0, initial=0.0)
    elif form == DOT:
        grad_near = AGGREGATE(indptr, indices, far, scores, None, *there)
        grad_far = AGGREGATE(*there[:2], near, scores, there[2], indptr, indices, None)
    else:
        slopes, bent = LEAKY_SUM(indptr, indices, scores, near, far, slope, None)
        grad_near, grad_mix = mix * slopes, bent.sum(0)
        grad_far = mix * LEAKY_SUM(*there[:2], scores, far, near, slope, there[2])[0]
    return None, None, grad_values, grad_near, grad_far, grad_mix, *[None] * 8


_SCORES = "Tensor near, Tensor far, Tensor? mix, int form, float slope, float scale, int seed, float dropout"
_BACK = "t_indptr, Tensor{0} t_indices, Tensor{0} t_edge"
ATTENTION = register(
    f"attention(Tensor indptr, Tensor indices, Tensor values, {_SCORES}, Tensor? {_BACK.format('?')}) "
    "-> (Tensor, Tensor)",
    cpu=_cpu,
    reference=attention_reference,
    fake=_fake,
    backward=_backward,
    save=_save,
)
ATTENTION_BACK = register(
    f"attention_back(Tensor indptr, Tensor indices, Tensor values, {_SCORES}, Tensor norms, Tensor inner, Tensor grad, "
    f"Tensor {_BACK.format('')}) -> (Tensor, Tensor, Tensor)",
    cpu=_back_cpu,
    reference=attention_back_reference,
    fake=_back_fake,
)
LEAKY_SUM = register(
    "leaky_sum(Tensor indptr, Tensor indices, Tensor weights, Tensor near, Tensor far, float slope, Tensor? edge) "
    "-> (Tensor, Tensor)",
    cpu=_leaky_sum_cpu,
    reference=leaky_sum_reference,
    fake=_leaky_sum_fake,
)
