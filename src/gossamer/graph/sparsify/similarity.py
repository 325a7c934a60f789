"""How similar the neighbourhoods of linked nodes are, and the sparsifier that keeps the most similar.

    J(u, v) = |N(u) ∩ N(v)| / |N(u) ∪ N(v)|

N are the neighbours whatever the direction of links, without the node itself. Satuluri, Parthasarathy & Ruan, "Local
graph sparsification for scalable clustering", SIGMOD 2011, section 3: keeping the highest in the whole graph thins out
sparse regions first, which `LSpar` avoids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gossamer.graph.links import Links
from gossamer.graph.sparsify.sparsifier import Chosen, Sparsifier, highest, kept

_ENTRIES = 1 << 24  # most entries of a block of products held at one time, roughly


@dataclass(frozen=True, kw_only=True)
class JaccardSimilarity(Sparsifier):
    """Keeps the links whose nodes share most of their neighbours, in the whole graph."""

    name = "jaccard"

    def choose(self, links: Links, removed: float, *, seed: int) -> Chosen:
        """Keeps the highest similarities; which of equal ones is left to chance."""
        return Chosen(highest(jaccard(links), kept(len(links), removed), seed=seed))


def jaccard(links: Links) -> Tensor:
    """Returns (L,) float64, the Jaccard similarity of the neighbourhoods of each link's nodes, in [0, 1).

    Rows of the product of the adjacency with itself are made a block at a time, of sixteen million wedges or so.
    """
    matrix = links.both_ways().to_scipy()
    matrix.data[:] = 1.0
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    matrix.sort_indices()
    neighbours = np.diff(matrix.indptr)
    low, high = links.source.cpu().numpy(), links.target.cpu().numpy()
    order = np.argsort(low, kind="stable")
    wedges = np.cumsum(matrix @ neighbours.astype(np.float64))  # paths of two steps from the nodes so far
    common = np.empty(len(low))
    start = 0
    while start < matrix.shape[0]:
        before = wedges[start - 1] if start else 0.0
        stop = max(int(np.searchsorted(wedges, before + _ENTRIES)), start + 1)
        rows = order[np.searchsorted(low[order], start) : np.searchsorted(low[order], stop)]
        if len(rows):
            product = (matrix[start:stop] @ matrix).tocsr()
            common[rows] = np.asarray(product[low[rows] - start, high[rows]]).reshape(-1)
        start = stop
    joint = neighbours[low] + neighbours[high] - common
    return torch.from_numpy(common / np.maximum(joint, 1)).to(links.source.device)
