"""What the kernels' callers must hand over, checked with messages that name the argument.

A kernel trusts `indptr`; whoever builds a sparse matrix calls `check_csr` on it once. Indices are also watched by
the native kernels while they run, at no measurable cost, so that a matrix paired with too small an input is an
error and not a read outside the input.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.errors import DataError

INDEX_TYPES = (torch.int32, torch.int64)


def check_pattern(indptr: Tensor, indices: Tensor, *, columns: str = "indices") -> None:
    """Checks dtypes, ranks and devices of a CSR pattern; reads no values.

    Args:
        indptr: (R + 1,) int64.
        indices: (E,) int32 or int64.
        columns: What the caller calls `indices`.

    Raises:
        DataError: Names the argument, what it is and what it should be.
    """
    if indptr.dtype is not torch.int64 or indptr.dim() != 1 or indptr.shape[0] < 1:
        raise DataError(f"indptr: expected int64 of shape (rows + 1,), found {describe(indptr)}")
    if indices.dtype not in INDEX_TYPES or indices.dim() != 1:
        raise DataError(f"{columns}: expected int32 or int64 of shape (entries,), found {describe(indices)}")
    check_device(indptr, indices, columns)


def check_device(first: Tensor, other: Tensor, name: str) -> None:
    """Raises `DataError` unless `other`, which the caller calls `name`, is on the device of `first`, as indptr is."""
    if first.device != other.device:
        raise DataError(f"{name}: is on {other.device}, but indptr is on {first.device}; move one of them")


def check_float(value: Tensor, name: str, like: Tensor | None = None) -> None:
    """Raises `DataError` unless `value` is a real floating-point tensor, of the dtype of `like` if that is given."""
    if not value.is_floating_point():
        raise DataError(f"{name}: expected a floating-point dtype, found {describe(value)}")
    if like is not None and value.dtype is not like.dtype:
        raise DataError(f"{name}: expected the dtype of x, {kind(like)}, found {describe(value)}")


def check_csr(indptr: Tensor, indices: Tensor, shape: tuple[int, int], *, columns: str = "indices") -> None:
    """Checks a CSR pattern in full: once per matrix, where it is made. Reads every entry.

    Args:
        indptr: (R + 1,) int64: 0 first, E last, never falling.
        indices: (E,) int32 or int64, each in [0, C).
        shape: (R, C).
        columns: What the caller calls `indices`.

    Raises:
        DataError: Names the argument, the first offending entry and what was expected.
    """
    check_pattern(indptr, indices, columns=columns)
    rows, width = shape
    if indptr.shape[0] != rows + 1:
        raise DataError(f"indptr: expected {rows + 1} entries for {rows} rows, found {indptr.shape[0]}")
    if int(indptr[0]) != 0 or int(indptr[-1]) != indices.shape[0]:
        raise DataError(
            f"indptr: expected to run from 0 to {indices.shape[0]}, the number of entries, "
            f"found {int(indptr[0])} to {int(indptr[-1])}"
        )
    falls = indptr[1:] < indptr[:-1]
    if bool(falls.any()):
        row = int(falls.nonzero()[0, 0])
        raise DataError(f"indptr: falls from {int(indptr[row])} to {int(indptr[row + 1])} at row {row}; sort the rows")
    if indices.shape[0] == 0:
        return
    low, high = (int(end) for end in torch.aminmax(indices))
    if low < 0 or high >= width:
        raise DataError(f"{columns}: expected values in [0, {width}), found {low if low < 0 else high}")


def describe(value: Tensor) -> str:
    """Returns dtype and shape in words: `float32 of shape (3, 4)`."""
    return f"{kind(value)} of shape {tuple(value.shape)}"


def kind(value: Tensor) -> str:
    """Returns the dtype without its module: `float32`."""
    return str(value.dtype).removeprefix("torch.")
