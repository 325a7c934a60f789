"""Makes a `Graph` with features, labels and splits from the arrays that files hold.

Edges of the citation, co-purchase and web graphs are read without direction, as the literature uses them:
both directions are there, each once, and self-loops are dropped (layers that want them add them).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph

# Where the sparse product of a network's first layer beats the dense one, with a margin.
_SPARSE_BELOW = 0.2  # density
_SPARSE_FROM = 32  # columns


def undirected(source: NDArray[Any], target: NDArray[Any], nodes: int, *, where: Path) -> Tensor:
    """Returns the (2, E) edge index with both directions of every edge once and no self-loops.

    Raises:
        DataError: An edge names a node outside 0..nodes - 1; `where` says in which file.
    """
    apart = source != target
    low = np.minimum(source, target)[apart].astype(np.int64)
    high = np.maximum(source, target)[apart].astype(np.int64)
    if len(low) and (low.min() < 0 or high.max() >= nodes):
        worst = low.min() if low.min() < 0 else high.max()
        raise DataError(f"{where}: an edge names node {worst}, expected 0..{nodes - 1}; get the original file")
    low, high = np.divmod(np.unique(low * nodes + high), nodes)
    return torch.from_numpy(np.stack([np.concatenate([low, high]), np.concatenate([high, low])]))


def features(x: sparse.spmatrix | NDArray[Any], *, normalise: bool) -> Tensor | CSR:
    """Returns float32 features: a CSR where columns are many and mostly zero, dense elsewhere.

    Args:
        x: (N, F).
        normalise: Whether every row that is not zero is scaled to sum to 1.
    """
    matrix = sparse.csr_matrix(x, dtype=np.float32)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if normalise:
        sums = np.asarray(matrix.sum(axis=1), dtype=np.float32).ravel()
        matrix.data /= np.repeat(np.where(sums == 0, np.float32(1), sums), np.diff(matrix.indptr))
    if matrix.shape[1] >= _SPARSE_FROM and matrix.nnz < _SPARSE_BELOW * matrix.shape[0] * matrix.shape[1]:
        return CSR.from_scipy(matrix)
    return torch.from_numpy(matrix.toarray())


def node_graph(
    edge_index: Tensor, x: Tensor | CSR, y: NDArray[Any], masks: Mapping[str, NDArray[np.bool_]] | None = None
) -> Graph:
    """Returns a labelled graph.

    Args:
        edge_index: (2, E), as `undirected` makes it.
        x: (N, F).
        y: (N,) class of each node.
        masks: Split name to (N,) or (N, splits).
    """
    return Graph.from_edge_index(
        edge_index,
        len(y),
        x=x,
        y=torch.from_numpy(y.astype(np.int64)),
        masks={name: torch.from_numpy(np.ascontiguousarray(mask)) for name, mask in (masks or {}).items()},
    )
