"""A matrix in blocks of 16 or 8 rows that share their columns: how it is stored.

A block of r rows that keeps `n` columns stores (n, r) values, one line of r a column; a matrix whose rows are not a
multiple of r is padded with rows of zeros. Sixteen numbers fill the widest vector register; eight follow a pattern
more closely and pay where the registers are narrower.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels.checks import check_float, describe

ROWS = 16  # rows that share their columns, unless a matrix says otherwise
HEIGHTS = (16, 8)
"""How many rows a block may have."""


class Blocks(NamedTuple):
    """A matrix in blocks of r rows; block `b` keeps `columns[indptr[b]:indptr[b + 1]]`."""

    indptr: Tensor  # (ceil(R / r) + 1,) int64
    columns: Tensor  # (n,) int32
    values: Tensor  # (n, r); values[k, i] stands in row r b + i, column columns[k]


def to_blocks(dense: Tensor, rows: int = ROWS) -> Blocks:
    """Returns the blocks of a dense (R, C) matrix: a column is kept where any of a block's numbers is not zero.

    Args:
        dense: (R, C), floating point.
        rows: Of a block: 16 or 8.

    Raises:
        DataError: `dense` is not a floating-point matrix, or there are no blocks of so many rows.

    >>> to_blocks(torch.tensor([[0.0, 2.0], [0.0, 3.0]])).columns
    tensor([1], dtype=torch.int32)
    """
    check_float(dense, "dense")
    if dense.dim() != 2:
        raise DataError(f"dense: expected a matrix, found {describe(dense)}")
    if rows not in HEIGHTS:
        raise DataError(f"rows: expected blocks of 16 or 8 rows, found {rows}")
    columns = dense.shape[1]
    blocks = -(-dense.shape[0] // rows)
    padded = torch.nn.functional.pad(dense, (0, 0, 0, blocks * rows - dense.shape[0])).reshape(blocks, rows, columns)
    kept = (padded != 0).any(dim=1)  # (blocks, C)
    block, column = kept.nonzero(as_tuple=True)
    indptr = torch.zeros(blocks + 1, dtype=torch.int64, device=dense.device)
    torch.cumsum(kept.sum(dim=1), 0, out=indptr[1:])
    return Blocks(indptr, column.to(torch.int32), padded[block, :, column].contiguous())


def from_blocks(indptr: Tensor, columns: Tensor, values: Tensor, rows: int, width: int) -> Tensor:
    """Returns the dense (`rows`, `width`) matrix; columns that a block lists twice add up."""
    blocks, height = indptr.shape[0] - 1, values.shape[1]
    block = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    dense = values.new_zeros(blocks * width, height).index_add_(0, block * width + columns, values)
    return dense.reshape(blocks, width, height).transpose(1, 2).reshape(blocks * height, width)[:rows]
