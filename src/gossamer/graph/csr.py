"""A sparse matrix in compressed rows, the one form in which gossamer keeps graphs and sparse features.

Row `r` holds the entries `indptr[r]:indptr[r + 1]` of `indices` (columns) and `values`. Rows make the product
with a dense matrix a sequence of gathers that one thread can sum without atomics, which is what the kernels
do; the transpose, which the backward pass needs, is computed once and kept. Duplicate entries are allowed and
mean their sum, so that a multigraph is a CSR too.

Indices are int32 while every column fits, which halves the memory traffic of the kernels, and int64 beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels.aggregate import aggregate
from gossamer.kernels.library import register
from gossamer.kernels.transpose import Transpose, transpose_csr

T = TypeVar("T")

_INT32_COLUMNS = 2**31 - 1

exporting = getattr(torch.compiler, "is_exporting", bool)  # True while a program is traced, whose numbers are unknown


class CSR:
    """A sparse matrix; immutable by convention, like the tensors it holds.

    Args:
        indptr: (rows + 1,) integers: where each row starts; from 0 to the number of entries, never falling.
        indices: (nnz,) integers: the column of each entry, in [0, columns).
        values: (nnz,) floats, or None, which means that every entry is 1. Integers and booleans become
            float32.
        shape: (rows, columns).

    Raises:
        DataError: The parts do not make a matrix; the message says which part and where.
    """

    def __init__(
        self, indptr: Tensor, indices: Tensor, values: Tensor | None = None, *, shape: tuple[int, int]
    ) -> None:
        self.shape: tuple[int, int] = (shape[0], shape[1]) if exporting() else (int(shape[0]), int(shape[1]))
        self.indptr: Tensor = indptr.to(torch.int64).contiguous()
        if not exporting():
            _check(self.indptr, indices, self.shape)
        self.indices: Tensor = indices.to(index_dtype(self.shape[1])).contiguous()
        self.values: Tensor | None = _checked_values(values, self.indices)
        self._derived: dict[str, Any] = {}  # follows from the structure alone; shared by `with_values`

    def __repr__(self) -> str:
        kind = "ones" if self.values is None else str(self.values.dtype).removeprefix("torch.")
        return f"CSR(shape={self.shape}, nnz={self.nnz}, values={kind})"

    @classmethod
    def from_coo(
        cls,
        row: Tensor,
        column: Tensor,
        values: Tensor | None = None,
        *,
        shape: tuple[int, int],
        sum_duplicates: bool = False,
    ) -> Self:
        """Makes a matrix from coordinates in any order; entries come out sorted by row, then column.

        Args:
            row: (nnz,) integers in [0, rows).
            column: (nnz,) integers in [0, columns).
            values: (nnz,) floats, or None for ones.
            shape: (rows, columns).
            sum_duplicates: Whether entries at one place become one, the sum of their values (their number
                where `values` is None). Kept apart otherwise.
        """
        indptr, order = sort_coordinates(row, column, shape=shape)
        matrix = cls(indptr, column[order], None if values is None else values[order], shape=shape)
        return matrix.coalesced() if sum_duplicates else matrix

    @classmethod
    def from_dense(cls, dense: Tensor) -> Self:
        """Makes a matrix of the entries of a (rows, columns) tensor that are not zero; NaN is not zero."""
        if dense.dim() != 2:
            raise DataError(f"CSR.from_dense needs a matrix, found {dense.dim()} dimensions; reshape it first")
        row, column = dense.nonzero(as_tuple=True)
        shape = (dense.shape[0], dense.shape[1])
        return cls(_pointers(row, shape[0]), column, dense[row, column], shape=shape)

    @classmethod
    def from_scipy(cls, matrix: Any) -> Self:
        """Makes a matrix from any scipy.sparse matrix or array; explicit zeros and duplicates stay."""
        matrix = matrix.tocsr()
        data = matrix.data
        if data.dtype.kind != "f":
            data = data.astype(np.float32)
        return cls(
            torch.from_numpy(np.array(matrix.indptr, dtype=np.int64)),
            torch.from_numpy(np.array(matrix.indices)),
            torch.from_numpy(np.array(data)),
            shape=matrix.shape,
        )

    @property
    def nnz(self) -> int:
        """The number of stored entries."""
        return self.indices.shape[0]

    @property
    def density(self) -> float:
        """Stored entries divided by all places, 0 for a matrix without places."""
        places = self.shape[0] * self.shape[1]
        return self.nnz / places if places else 0.0

    @property
    def device(self) -> torch.device:
        """Where the matrix lives."""
        return self.indptr.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the values; float32 where they are ones."""
        return torch.float32 if self.values is None else self.values.dtype

    @property
    def rows(self) -> Tensor:
        """(nnz,) the row of each entry, int64; computed once."""
        return self.once("rows", lambda: torch.repeat_interleave(self.indptr.diff(), output_size=self.nnz))

    @property
    def transpose(self) -> Transpose:
        """The structure of the transpose, and the place here of each of its entries; computed once."""
        return self.once("transpose", lambda: transpose_csr(self.indptr, self.indices, self.shape[1]))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Returns what `make` gives, computed once for this structure: matrices of other values share it."""
        if name not in self._derived:
            with torch.inference_mode(False):  # what is kept must serve training too
                self._derived[name] = make()
        return cast("T", self._derived[name])

    def t(self) -> Self:
        """Returns the transposed matrix."""
        indptr, indices, edge = self.transpose
        values = None if self.values is None else self.values[edge]
        return type(self)(indptr, indices, values, shape=(self.shape[1], self.shape[0]))

    def with_values(self, values: Tensor | None) -> Self:
        """Returns a matrix with the same places and other values, (nnz,) floats or None for ones.

        The structure is shared, with what is derived from it, and not checked again.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.values = _checked_values(values, self.indices)
        return other

    def coalesced(self) -> Self:
        """Returns the matrix with entries sorted by column in each row and duplicates summed."""
        columns = max(self.shape[1], 1)
        keys, inverse = torch.unique(self.rows * columns + self.indices, return_inverse=True)
        if keys.shape[0] == self.nnz and self.values is None:
            values = None
        else:
            values = self.to_values()
            values = values.new_zeros(keys.shape[0]).index_add(0, inverse, values)
        row = torch.div(keys, columns, rounding_mode="floor")
        return type(self)(_pointers(row, self.shape[0]), keys % columns, values, shape=self.shape)

    def matmul(self, dense: Tensor) -> Tensor:
        """Returns this matrix times `dense`; gradients reach `dense` and the values.

        Args:
            dense: (columns, F) or (columns, H, F).

        Returns:
            (rows, F) or (rows, H, F).

        Raises:
            DataError: `dense` has another number of rows than this matrix has columns.
        """
        if dense.shape[0] != self.shape[1]:
            raise DataError(
                f"CSR.matmul: a matrix of shape {self.shape} needs {self.shape[1]} rows on its right, "
                f"found {tuple(dense.shape)}"
            )
        return self.aggregate(dense, self.values)

    def aggregate(self, dense: Tensor, weights: Tensor | None) -> Tensor:
        """Returns the product with `dense`, with `weights`, (nnz,) or (nnz, H), in place of the values."""
        back = self.transpose if dense.requires_grad and torch.is_grad_enabled() else None
        weights = None if weights is None else weights.to(dense.dtype)
        return aggregate(self.indptr, self.indices, dense, weights, back)

    def row_sums(self) -> Tensor:
        """Returns (rows,) the sum of each row; the number of its entries where values are ones."""
        if self.values is None:
            return self.indptr.diff().to(torch.float32)
        return self.values.new_zeros(self.shape[0]).index_add(0, self.rows, self.values)

    def to_values(self) -> Tensor:
        """Returns (nnz,) the values, ones where there are none."""
        return torch.ones(self.nnz, device=self.device) if self.values is None else self.values

    def to_dense(self) -> Tensor:
        """Returns the (rows, columns) tensor; duplicates are summed."""
        values = self.to_values()
        dense = values.new_zeros(self.shape)
        return dense.index_put((self.rows, self.indices.long()), values, accumulate=True)

    def to_scipy(self) -> Any:
        """Returns a `scipy.sparse.csr_array` that shares no memory with this matrix."""
        from scipy.sparse import csr_array

        parts = (part.detach().cpu().numpy().copy() for part in (self.to_values(), self.indices, self.indptr))
        return csr_array(tuple(parts), shape=self.shape)

    def to(self, device: torch.device | str) -> Self:
        """Returns this matrix on `device`; itself where it is there already."""
        if self.indptr.to(device) is self.indptr:
            return self
        moved = object.__new__(type(self))
        moved.__dict__.update(self.__dict__)
        moved.indptr, moved.indices = self.indptr.to(device), self.indices.to(device)
        moved.values = None if self.values is None else self.values.to(device)
        moved._derived = {}
        return moved


def index_dtype(columns: int) -> torch.dtype:
    """Returns the type of column indices: int32 while all of them fit, int64 beyond."""
    return torch.int32 if columns <= _INT32_COLUMNS else torch.int64


def sort_coordinates(row: Tensor, column: Tensor, *, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sorts coordinates by row, then column; equal ones keep their order.

    Returns:
        `indptr`, (rows + 1,), and `order`, (nnz,): the coordinate that comes first, second, ...

    Raises:
        DataError: The two differ in length, or one lies outside `shape`.
    """
    if row.dim() != 1 or row.shape != column.shape:
        raise DataError(
            f"coordinates need one row and one column an entry, found shapes {tuple(row.shape)} "
            f"and {tuple(column.shape)}"
        )
    indptr, order = SORT_COORDINATES(row, column, *shape)
    return indptr, order


def _sort(row: Tensor, column: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    for name, index, size in (("row", row, rows), ("column", column, columns)):
        _check_range(name, index, size)
    key = row.to(torch.int64) * max(columns, 1) + column
    return _pointers(row, rows), torch.argsort(key, stable=True)


def _sort_fake(row: Tensor, column: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    del columns
    return row.new_empty(rows + 1, dtype=torch.int64), torch.empty_like(row, dtype=torch.int64)


# An operator, so that an exported program sorts, and checks, the edges that it is given.
SORT_COORDINATES = register(
    "sort_coordinates(Tensor row, Tensor column, SymInt rows, SymInt columns) -> (Tensor, Tensor)",
    cpu=_sort,
    reference=_sort,
    fake=_sort_fake,
)


def _pointers(row: Tensor, rows: int) -> Tensor:
    """Returns `indptr` for entries whose rows are `row`, in any order."""
    counts = torch.bincount(row, minlength=rows)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _check(indptr: Tensor, indices: Tensor, shape: tuple[int, int]) -> None:
    """Refuses parts that are not a matrix of `shape`."""
    rows, columns = shape
    if rows < 0 or columns < 0:
        raise DataError(f"CSR: shape is {shape}; expected two numbers of at least 0")
    if indptr.dim() != 1 or indptr.shape[0] != rows + 1:
        raise DataError(f"CSR: indptr has shape {tuple(indptr.shape)}; {rows} rows need ({rows + 1},)")
    if indices.dim() != 1 or indices.dtype.is_floating_point or indices.dtype == torch.bool:
        raise DataError(f"CSR: indices are {indices.dtype} of shape {tuple(indices.shape)}; expected (nnz,) integers")
    if indptr.device != indices.device:
        raise DataError(f"CSR: indptr is on {indptr.device}, indices on {indices.device}; move one of them")
    if int(indptr[0]) != 0:
        raise DataError(f"CSR: indptr starts at {int(indptr[0])}; expected 0")
    if int(indptr[-1]) != indices.shape[0]:
        raise DataError(f"CSR: indptr ends at {int(indptr[-1])}; expected the number of indices, {indices.shape[0]}")
    falls = indptr.diff() < 0
    if bool(falls.any()):
        raise DataError(f"CSR: indptr falls after row {int(falls.nonzero()[0])}; it must never fall")
    _check_range("column", indices, columns)


def _check_range(name: str, index: Tensor, size: int) -> None:
    if index.numel() == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(index))
    if low < 0 or high >= size:
        worst = low if low < 0 else high
        raise DataError(f"CSR: {name} index {worst} found; expected 0 to {size - 1} for {size} {name}s")


def _checked_values(values: Tensor | None, indices: Tensor) -> Tensor | None:
    if values is None:
        return None
    if values.shape != indices.shape:
        raise DataError(f"CSR: values have shape {tuple(values.shape)}; expected {tuple(indices.shape)}, one an entry")
    if values.device != indices.device:
        raise DataError(f"CSR: values are on {values.device}, indices on {indices.device}; move one of them")
    return values if values.dtype.is_floating_point else values.to(torch.float32)
