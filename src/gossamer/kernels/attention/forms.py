"""Softmax attention over the neighbours of each node, with scores made on the fly, forward and backward.

    out[i, h] = Σ_e softmax_e(score(i, j, h)) · values[j, h]        over e in indptr[i] : indptr[i + 1], j = indices[e]

    additive   leaky(target[i, h] + source[j, h])               GAT: Veličković et al., ICLR 2018, eq. (3)
    dot        scale · queries[i, h] · keys[j, h]               TransformerConv: Shi et al., IJCAI 2021, eq. (3)
    mixed      mix[h] · leaky(target[i, h] + source[j, h])      GATv2: Brody, Alon & Yahav, ICLR 2022, eq. (7)

One pass over the edges with a running maximum and total, as FlashAttention does for dense attention (Dao et al.,
NeurIPS 2022): forward, nothing of the size of the edges is made; backward, one number an edge and head. Weights are
computed again from one norm a node and head. Dropout of weights needs no mask either: whether one is dropped is a hash
of the seed and its place, the same in both directions.

What is gathered, values and keys, may be stored as bfloat16, or as int8 with one scale a row (`quantize_rows`); what is
read once a node stays float32, and so do sums. The gradient of what is stored as bfloat16 is rounded to it.
"""

# ruff: noqa: PLR0917  (kernels take their arguments by position)
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.kernels.aggregate import checked_transpose
from gossamer.kernels.attention.forward import ATTENTION
from gossamer.kernels.attention.references import ADDITIVE, DOT, MIXED
from gossamer.kernels.checks import check_device, check_pattern, describe
from gossamer.kernels.propagate import check_stored, sum_dtype
from gossamer.kernels.transpose import Transpose


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
    row_scale: Tensor | None = None,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns attention with scores leaky(target[i] + source[j]), one number a head.

    float32, bfloat16 and int8 on the CPU run natively, with a result that does not depend on the number of threads;
    subnormal numbers count as zero there. Gradients reach `values`, `target` and `source`, to first order.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, M).
        values: (M, H, F) floating point, or int8.
        target: (R, H), in the dtype of the result.
        source: (M, H), in the dtype of the result.
        slope: Of the leaky ReLU below zero.
        dropout: Probability of dropping a weight, in [0, 1]; the others grow to keep the expectation.
        seed: Says which weights are dropped.
        row_scale: (M,) what each row of `values` is multiplied by; required for int8. No gradient.
        transpose: What `transpose_csr(indptr, indices, M)` returns. Without it, a backward pass builds it anew.

    Returns:
        (R, H, F) in the dtype of `values`; float32 where that is bfloat16 or int8. Rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.
        SettingError: `dropout` is outside [0, 1].
    """
    _check(indptr, indices, {"values": values}, {"row_scale": row_scale}, dropout)
    heads = values.shape[1]
    _check_parts(
        values, {"target": (target, (indptr.shape[0] - 1, heads)), "source": (source, (values.shape[0], heads))}
    )
    scores = (target, source, None, None, ADDITIVE, slope, 1.0, seed, dropout)
    return _attend(indptr, indices, values, row_scale, scores, transpose)


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
    row_scale: Tensor | None = None,
    key_scale: Tensor | None = None,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns attention with scores scale · queries[i] · keys[j]; otherwise as `attend_additive`.

    Args:
        indptr: (R + 1,) int64.
        indices: (E,) int32 or int64 in [0, M).
        values: (M, H, F) floating point, or int8.
        queries: (R, H, F), in the dtype of the result.
        keys: (M, H, F), in the dtype of `values`.
        scale: None means 1 / √F.
        dropout: Probability of dropping a weight, in [0, 1].
        seed: Says which weights are dropped.
        row_scale: (M,) what each row of `values` is multiplied by; required for int8. No gradient.
        key_scale: (M,) that of `keys`.
        transpose: What `transpose_csr(indptr, indices, M)` returns.

    Returns:
        (R, H, F) in the dtype of `values`; float32 where that is bfloat16 or int8. Rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.
        SettingError: `dropout` is outside [0, 1].
    """
    stored = {"values": values, "keys": keys}
    _check(indptr, indices, stored, {"row_scale": row_scale, "key_scale": key_scale}, dropout)
    _check_parts(values, {"queries": (queries, (indptr.shape[0] - 1, *values.shape[1:]))})
    scale = max(values.shape[2], 1) ** -0.5 if scale is None else scale
    scores = (queries, keys, key_scale, None, DOT, 0.0, scale, seed, dropout)
    return _attend(indptr, indices, values, row_scale, scores, transpose)


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
    row_scale: Tensor | None = None,
    transpose: Transpose | None = None,
) -> Tensor:
    """Returns attention over `source` with scores mix · leaky(target[i] + source[j]); otherwise as `attend_additive`.

    Args:
        indptr: (R + 1,) int64.
        indices: (E,) int32 or int64 in [0, M).
        target: (R, H, F), in the dtype of the result.
        source: (M, H, F) floating point, or int8; the values too.
        mix: (H, F), in the dtype of the result.
        slope: Of the leaky ReLU below zero.
        dropout: Probability of dropping a weight, in [0, 1].
        seed: Says which weights are dropped.
        row_scale: (M,) what each row of `source` is multiplied by; required for int8. No gradient.
        transpose: What `transpose_csr(indptr, indices, M)` returns.

    Returns:
        (R, H, F) in the dtype of `source`; float32 where that is bfloat16 or int8. Rows without entries are zero.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.
        SettingError: `dropout` is outside [0, 1].
    """
    _check(indptr, indices, {"source": source}, {"row_scale": row_scale}, dropout)
    shape = tuple(source.shape[1:])
    _check_parts(source, {"target": (target, (indptr.shape[0] - 1, *shape)), "mix": (mix, shape)}, name="source")
    scores = (target, source, row_scale, mix, MIXED, slope, 1.0, seed, dropout)
    return _attend(indptr, indices, source, row_scale, scores, transpose)


def _attend(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    row_scale: Tensor | None,
    scores: tuple[Any, ...],
    transpose: Transpose | None,
) -> Tensor:
    back = checked_transpose(transpose, indices, values.shape[0])
    return ATTENTION(indptr, indices, values, row_scale, *scores, *back)[0]  # type: ignore[no-any-return]


def _check(
    indptr: Tensor,
    indices: Tensor,
    stored: Mapping[str, Tensor],
    scales: Mapping[str, Tensor | None],
    dropout: float,
) -> None:
    """Checks the pattern and what is gathered: (M, H, F) features of one kind, each with its scale."""
    check_pattern(indptr, indices)
    (first, values), *_ = stored.items()
    for (name, value), (scale_name, scale) in zip(stored.items(), scales.items(), strict=True):
        check_stored(indptr, value, scale, names=(name, scale_name))
        if value.dim() != 3:
            raise DataError(f"{name}: expected shape (nodes, heads, features), found {describe(value)}")
        if value.shape != values.shape or value.dtype is not values.dtype:
            raise DataError(f"{name}: expected shape and dtype of {first}, {describe(values)}, found {describe(value)}")
        if scale is not None and scale.requires_grad:
            raise DataError(f"{scale_name}: asks for a gradient, which scales do not get; detach it")
    if not 0.0 <= dropout <= 1.0:
        raise SettingError(f"dropout probability is {dropout!r}; expected a number in [0, 1]")


def _check_parts(values: Tensor, parts: Mapping[str, tuple[Tensor, tuple[int, ...]]], *, name: str = "values") -> None:
    """Checks what is read once a node: its shape, and the dtype in which `values` are summed."""
    dtype = sum_dtype(values)
    for part, (value, shape) in parts.items():
        check_device(values, value, part)
        if tuple(value.shape) != shape or value.dtype is not dtype:
            wanted = "the dtype" if dtype is values.dtype else "the sums' dtype, float32,"
            raise DataError(f"{part}: expected shape {shape} and {wanted} of {name}, found {describe(value)}")
