"""Scales the entries of an adjacency matrix by node degrees, as graph convolutions ask for.

All three functions take the adjacency of incoming edges (row = target, column = source) and return one; the two
that scale keep its places. The degree of a node is the sum of the weights of its incoming edges; where it is
zero the result is zero, never infinite.

`symmetric` is Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017,
eq. (2), and on a directed graph uses the in-degree on both sides, as PyTorch Geometric does.
`with_self_loops` is its renormalisation trick: A + I, except that a node which has a loop already keeps the
weight of that loop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph.csr import CSR, exporting, sort_coordinates
from gossamer.kernels.library import register


def symmetric(adjacency: CSR) -> CSR:
    """Returns D^-1/2 A D^-1/2.

    Raises:
        DataError: The weights of some node's incoming edges sum to less than zero.
    """
    degree = adjacency.row_sums()
    if not exporting() and bool((degree < 0).any()):
        node = int((degree < 0).nonzero()[0])
        raise DataError(
            f"symmetric normalisation: the incoming weights of node {node} sum to {float(degree[node]):g}; "
            "expected at least 0: use row normalisation, or take the absolute weights"
        )
    scale = torch.where(degree > 0, degree.rsqrt(), torch.zeros_like(degree))
    factor = scale[adjacency.rows] * scale[adjacency.indices]
    return adjacency.with_values(factor if adjacency.values is None else factor * adjacency.values)


def by_row(adjacency: CSR) -> CSR:
    """Returns D^-1 A: each row sums to 1, which is the mean over incoming edges, or stays 0."""
    degree = adjacency.row_sums()
    factor = torch.where(degree != 0, degree.reciprocal(), torch.zeros_like(degree))[adjacency.rows]
    return adjacency.with_values(factor if adjacency.values is None else factor * adjacency.values)


def with_self_loops(adjacency: CSR, weight: float = 1.0) -> CSR:
    """Returns the square matrix with exactly one entry on each place of the diagonal.

    A loop that is there keeps its weight (the last one, where a node has several); the others get `weight`.

    Raises:
        DataError: The matrix is not square.
    """
    nodes, columns = adjacency.shape
    if nodes != columns:
        raise DataError(f"self loops need a square adjacency, found {adjacency.shape}")
    structure, order, last = adjacency.once("loops", lambda: _looped(adjacency))
    if adjacency.values is None and weight == 1.0:
        return structure
    old = adjacency.to_values()
    kept = torch.cat([old, old.new_full((1,), weight)])[last]
    return structure.with_values(torch.cat([old, kept])[order])


def _looped(adjacency: CSR) -> tuple[CSR, Tensor, Tensor]:
    """Returns the structure with loops, and where its values come from.

    They are entries of (the old values, one value a node), and the value of a node is `last` of (the old values, that
    of a new loop): of several loops the last one wins, and picking it by its place keeps that true on every device.
    """
    indptr, indices, source, last = SELF_LOOPS(adjacency.indptr, adjacency.indices)
    return CSR(indptr, indices, shape=adjacency.shape), source, last


def _loops(indptr: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    nodes, count = indptr.shape[0] - 1, indices.shape[0]
    row, column = torch.repeat_interleave(indptr.diff(), output_size=count), indices.long()
    other = row != column
    loop = torch.arange(nodes, device=indptr.device)
    last = torch.full_like(loop, -1).scatter_reduce(0, row[~other], (~other).nonzero().squeeze(1), reduce="amax")
    places = torch.cat([other.nonzero().squeeze(1), count + loop])
    row_all, column_all = torch.cat([row[other], loop]), torch.cat([column[other], loop])
    pointers, order = sort_coordinates(row_all, column_all, shape=(nodes, nodes))
    return pointers, column_all[order], places[order], last


def _loops_fake(indptr: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    entries = torch.library.get_ctx().new_dynamic_size()  # old loops are not counted twice
    made = [indptr.new_empty(size, dtype=torch.int64) for size in (indptr.shape[0], entries, entries)]
    return made[0], made[1], made[2], indptr.new_empty(indptr.shape[0] - 1, dtype=torch.int64)


# An operator, so that an exported program finds the loops of the graph that it is given.
SELF_LOOPS = register(
    "self_loops(Tensor indptr, Tensor indices) -> (Tensor, Tensor, Tensor, Tensor)",
    cpu=_loops,
    reference=_loops,
    fake=_loops_fake,
)
