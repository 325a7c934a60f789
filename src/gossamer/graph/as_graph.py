"""Turns whatever a layer is given as its graph into a `Graph`, and remembers the answer.

A model written for PyTorch Geometric is called with an `edge_index` tensor at every step of a full-batch
training loop. Sorting its edges each time would cost more than the layer, so the last few tensors are
remembered, by identity and version: a tensor changed in place is read again, and one that is gone frees its
graph.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph.csr import CSR
from gossamer.graph.graph import Graph


class GraphCache:
    """Graphs by the tensor they were made from, at most `size` of them, the longest unused leaving first."""

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[int, int, str], tuple[weakref.ref[Tensor], Graph]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, tensor: Tensor, num_nodes: int) -> Graph:
        """Returns the graph of `tensor`, made now if it is new or was changed in place."""
        if tensor.is_inference():  # such tensors carry no version, so a change in place would go unseen
            return _make(tensor, num_nodes)
        key = (id(tensor), tensor._version, str(num_nodes))  # in words: a size that is being traced has no hash
        with self._lock:
            found = self._entries.get(key)
            if found is not None and found[0]() is tensor:
                self._entries.move_to_end(key)
                return found[1]
        with torch.inference_mode(False):  # what is kept must serve training too
            graph = _make(tensor, num_nodes)
        with self._lock:
            self._entries[key] = (weakref.ref(tensor, lambda _: self._entries.pop(key, None)), graph)
            while len(self._entries) > self.size:
                self._entries.popitem(last=False)
        return graph


_CACHE = GraphCache()


def as_graph(graph: Graph | Tensor, num_nodes: int) -> Graph:
    """Returns `graph` as a `Graph` of `num_nodes` nodes; what every layer calls on its second argument.

    Args:
        graph: A `Graph`; an edge_index, (2, E) integers with sources in row 0 and targets in row 1; or a
            sparse tensor (COO or CSR), (N, N) with targets as rows and sources as columns.
        num_nodes: N, the rows of the features that go with it.

    Raises:
        DataError: The graph has another number of nodes, or is none of these.
    """
    if isinstance(graph, Tensor):
        return _CACHE.get(graph, num_nodes)
    if not isinstance(graph, Graph):
        raise DataError(f"a graph was expected, found {type(graph).__name__}; pass a Graph or an edge_index (2, E)")
    if graph.num_nodes != num_nodes:
        raise DataError(f"the graph has {graph.num_nodes} nodes, but the features have {num_nodes} rows")
    return graph


def _make(tensor: Tensor, num_nodes: int) -> Graph:
    if tensor.layout == torch.strided:
        return Graph.from_edge_index(tensor, num_nodes)
    if tensor.shape != (num_nodes, num_nodes):
        raise DataError(f"a sparse adjacency of shape {tuple(tensor.shape)} does not fit features of {num_nodes} rows")
    if tensor.layout == torch.sparse_csr:
        return Graph(CSR(tensor.crow_indices(), tensor.col_indices(), tensor.values(), shape=(num_nodes, num_nodes)))
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        row, column = tensor.indices()
        return Graph(CSR.from_coo(row, column, tensor.values(), shape=(num_nodes, num_nodes)))
    raise DataError(f"a sparse adjacency of layout {tensor.layout} is not read; convert it with .to_sparse_csr()")
