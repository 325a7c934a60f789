"""Sparse matrices and widths to try kernels on, and the numbers they must give, computed densely in float64."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from torch import Tensor

# Around every vector width (4, 8, 16), every register block (24, 32, 64, 128, 256), and zero.
WIDTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 25, 31, 33, 63, 64, 65, 100, 128, 130, 257, 300]

HALVES = [
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.bfloat16),
]
"""Dtypes of the values of a sparse matrix, and of everything else, that are not float32 for both."""


@st.composite
def patterns(draw: st.DrawFn, most: int = 40) -> tuple[Tensor, Tensor, int]:
    """Draws (indptr, indices, columns): empty rows, duplicates, hubs, no rows and no columns included."""
    rows, columns = draw(st.integers(0, most)), draw(st.integers(0, most))
    degrees = draw(st.lists(st.sampled_from([0, 0, 1, 2, 5, 30]), min_size=rows, max_size=rows))
    if columns == 0:
        degrees = [0] * rows
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    indptr = torch.tensor([0, *degrees]).cumsum(0)
    dtype = draw(st.sampled_from([torch.int32, torch.int64]))
    indices = torch.randint(max(columns, 1), (sum(degrees),), generator=generator, dtype=dtype)
    return indptr, indices, columns


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Returns float32 normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def to_dense(indptr: Tensor, indices: Tensor, columns: int, values: Tensor | None = None) -> Tensor:
    """Returns the (R, C) float64 matrix, entry by entry; duplicates add up."""
    dense = torch.zeros(indptr.shape[0] - 1, columns, dtype=torch.float64)
    for row in range(dense.shape[0]):
        for e in range(int(indptr[row]), int(indptr[row + 1])):
            dense[row, int(indices[e])] += 1.0 if values is None else float(values[e])
    return dense


def power_law(nodes: int, edges: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns (indptr, indices) of a square matrix whose first row holds a third of all entries."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.randint(nodes, (edges,), generator=generator)
    row[: edges // 3] = 0
    indptr = torch.zeros(nodes + 1, dtype=torch.int64)
    indptr[1:] = torch.bincount(row, minlength=nodes).cumsum(0)
    return indptr, torch.randint(nodes, (edges,), generator=generator, dtype=torch.int32)


def csr_arrays(dense: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (indptr, indices, values) of what is not zero in a matrix; indices are int32."""
    kept = dense != 0
    indptr = torch.zeros(dense.shape[0] + 1, dtype=torch.int64)
    indptr[1:] = kept.sum(1).cumsum(0)
    return indptr, kept.nonzero()[:, 1].int(), dense[kept]
