"""Reads the TUDataset collection (Morris et al. 2020): many small graphs in a few text files.

`A` lists edges as pairs of nodes numbered from 1 through all graphs, `graph_indicator` the graph of each
node, `graph_labels` the class of each graph, `node_labels` a class of each node, which becomes a one-hot
feature.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph
from gossamer.tasks.readers.text import read_integers

PARTS = ("A", "graph_indicator", "graph_labels", "node_labels")


def read_tudataset(paths: Sequence[Path]) -> list[Graph]:
    """Reads a set from its four files, in the order of `PARTS`; classes are renumbered from 0.

    Raises:
        DataError: A file is damaged, or the files do not fit together.
    """
    edges, indicator, classes, kinds = (read_integers(path) for path in paths)
    nodes, graphs = len(indicator), len(classes)
    owner = indicator[:, 0]
    if edges.shape[1] != 2 or edges.min() < 1 or edges.max() > nodes:
        raise DataError(f"{paths[0]}: expected two node numbers in 1..{nodes} a line")
    if len(kinds) != nodes or (np.diff(owner) < 0).any() or owner[0] < 1 or owner[-1] > graphs:
        raise DataError(f"{paths[1]}: expected a rising graph number in 1..{graphs} for each of {len(kinds)} nodes")
    if (owner[edges[:, 0] - 1] != owner[edges[:, 1] - 1]).any():
        raise DataError(f"{paths[0]}: found an edge between two graphs; the files are of different sets")
    y = torch.from_numpy(np.unique(classes[:, 0], return_inverse=True)[1])
    x = F.one_hot(torch.from_numpy(np.unique(kinds[:, 0], return_inverse=True)[1])).float()
    whole = Graph.from_edge_index(torch.from_numpy(edges.T - 1), nodes).adjacency
    starts = np.searchsorted(owner, np.arange(1, graphs + 2)).tolist()
    return [
        Graph(_block(whole, start, stop), x=x[start:stop], y=y[i])
        for i, (start, stop) in enumerate(itertools.pairwise(starts))
    ]


def _block(whole: CSR, start: int, stop: int) -> CSR:
    """Returns the adjacency of the nodes start..stop - 1, which no edge leaves."""
    indptr = whole.indptr[start : stop + 1]
    first, last = int(indptr[0]), int(indptr[-1])
    return CSR(indptr - first, whole.indices[first:last] - start, shape=(stop - start, stop - start))
