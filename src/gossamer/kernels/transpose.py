"""The transpose of a CSR pattern, with the way back to the entries of the original.

`aggregate` needs it for the gradient of its input: what flows along an edge flows back along the transposed edge,
with the same weight. `Transpose.edge` says where in the original each transposed entry stands, so that weights are
reached through it and never copied. Entries keep their order within a transposed row, so the result is unique.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.checks import check_pattern
from gossamer.kernels.library import index_error, register


class Transpose(NamedTuple):
    """A transposed pattern: entry `k` of it is entry `edge[k]` of the original."""

    indptr: Tensor  # (C + 1,) int64
    indices: Tensor  # (E,) rows of the original, in the dtype of its indices
    edge: Tensor  # (E,) same dtype


def transpose_csr(indptr: Tensor, indices: Tensor, columns: int) -> Transpose:
    """Transposes a CSR pattern of R rows, `columns` columns and E entries in time O(R + C + E).

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E (the caller's word; see `check_csr`).
        indices: (E,) int32 or int64, each in [0, `columns`).
        columns: C, at least 0.

    Raises:
        DataError: An argument has the wrong dtype or shape, or an index is out of range.

    >>> transpose_csr(torch.tensor([0, 2, 3]), torch.tensor([0, 2, 0]), 3).edge
    tensor([0, 2, 1])
    """
    check_pattern(indptr, indices)
    if columns < 0:
        raise DataError(f"columns: expected at least 0, found {columns}")
    return Transpose(*TRANSPOSE(indptr, indices, columns))


def transpose_csr_reference(indptr: Tensor, indices: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pure-torch reference of `transpose_csr`, through a stable sort."""
    index, edge = torch.sort(indices, stable=True)
    if indices.shape[0] and not (index[0] >= 0 and index[-1] < columns):
        raise index_error("indices", columns)
    starts = torch.searchsorted(index, torch.arange(columns + 1, dtype=index.dtype, device=index.device))
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    return starts.to(torch.int64), row[edge].to(indices.dtype), edge.to(indices.dtype)


def _cpu(indptr: Tensor, indices: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    module = native.kernels()
    if module is None:
        return transpose_csr_reference(indptr, indices, columns)
    indptr, indices = indptr.contiguous(), indices.contiguous()
    starts = torch.empty(columns + 1, dtype=torch.int64)
    rows, edge = torch.empty_like(indices), torch.empty_like(indices)
    fits = module.transpose_csr(
        indptr.shape[0] - 1,
        columns,
        indices.shape[0],
        indices.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        starts.data_ptr(),
        rows.data_ptr(),
        edge.data_ptr(),
    )
    if not fits:
        raise index_error("indices", columns)
    return starts, rows, edge


def _fake(indptr: Tensor, indices: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    return indptr.new_empty(columns + 1), torch.empty_like(indices), torch.empty_like(indices)


TRANSPOSE = register(
    "transpose_csr(Tensor indptr, Tensor indices, SymInt columns) -> (Tensor, Tensor, Tensor)",
    cpu=_cpu,
    reference=transpose_csr_reference,
    fake=_fake,
)
