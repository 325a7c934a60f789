"""A matrix in blocks of 16 rows that share their columns: how it is stored.

A block that keeps `n` columns stores (n, 16) values, one line of 16 a column; a matrix whose rows are not a multiple
of 16 is padded with rows of zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels.checks import check_float, describe

ROWS = 16  # rows that share their columns


class Blocks(NamedTuple):
    """A matrix in blocks of 16 rows; block `b` keeps `columns[indptr[b]:indptr[b + 1]]`."""

    indptr: Tensor  # (ceil(R / 16) + 1,) int64
    columns: Tensor  # (n,) int32
    values: Tensor  # (n, 16); values[k, i] stands in row 16 b + i, column columns[k]


def to_blocks(dense: Tensor) -> Blocks:
    """Returns the blocks of a dense (R, C) matrix: a column is kept where any of its 16 numbers is not zero.

    Raises:
        DataError: `dense` is not a floating-point matrix.

    >>> to_blocks(torch.tensor([[0.0, 2.0], [0.0, 3.0]])).columns
    tensor([1], dtype=torch.int32)
    """
    check_float(dense, "dense")
    if dense.dim() != 2:
        raise DataError(f"dense: expected a matrix, found {describe(dense)}")
    rows, columns = dense.shape
    blocks = -(-rows // ROWS)
    padded = torch.nn.functional.pad(dense, (0, 0, 0, blocks * ROWS - rows)).reshape(blocks, ROWS, columns)
    kept = (padded != 0).any(dim=1)  # (blocks, C)
    block, column = kept.nonzero(as_tuple=True)
    indptr = torch.zeros(blocks + 1, dtype=torch.int64, device=dense.device)
    torch.cumsum(kept.sum(dim=1), 0, out=indptr[1:])
    return Blocks(indptr, column.to(torch.int32), padded[block, :, column].contiguous())


def from_blocks(indptr: Tensor, columns: Tensor, values: Tensor, rows: int, width: int) -> Tensor:
    """Returns the dense (`rows`, `width`) matrix; columns that a block lists twice add up."""
    blocks = indptr.shape[0] - 1
    block = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    dense = values.new_zeros(blocks * width, ROWS).index_add_(0, block * width + columns, values)
    return dense.reshape(blocks, width, ROWS).transpose(1, 2).reshape(blocks * ROWS, width)[:rows]
