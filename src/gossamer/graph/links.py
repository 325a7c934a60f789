"""The links of a graph: what is removed together when edges go.

A link joins two different nodes. In an undirected graph it is both directions of an edge, so that whatever is done by
link leaves the graph undirected; in a directed one, each direction is a link of its own. Parallel edges are one link,
whose weight is their sum. Self loops belong to no link and are never removed: they are a node's own features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gossamer.graph.csr import CSR
from gossamer.graph.graph import Graph


@dataclass(frozen=True, eq=False)
class Links:
    """The links of one graph, sorted by their lower node; L of them."""

    source: Tensor  # (L,) int64; of an undirected link the lower node
    target: Tensor  # (L,) int64
    weight: Tensor  # (L,) floats, that of one direction
    of_edge: Tensor  # (E,) int64: the link of each edge of the graph, -1 for self loops
    undirected: bool
    num_nodes: int
    _derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """How many links there are."""
        return self.source.shape[0]

    @classmethod
    def of(cls, graph: Graph) -> Links:
        """Finds the links of a graph; a graph is undirected if every edge has its reverse, with the same weight."""
        undirected, nodes = graph.is_undirected(), graph.num_nodes
        source, target = graph.to_edge_index()
        if undirected:
            source, target = torch.minimum(source, target), torch.maximum(source, target)
        apart = source != target
        number, place = torch.unique(source[apart] * nodes + target[apart], return_inverse=True)
        of_edge = torch.full_like(source, -1)
        of_edge[apart] = place
        weights = graph.adjacency.to_values().detach()[apart]
        weight = weights.new_zeros(len(number)).index_add(0, place, weights) / (2.0 if undirected else 1.0)
        return cls(number // max(nodes, 1), number % max(nodes, 1), weight, of_edge, undirected, nodes)

    def both_ways(self) -> CSR:
        """Returns the (N, N) symmetric matrix of which nodes are linked, whatever the direction; computed once.

        Each link stands there twice, its number as the value; two opposite links stand side by side.
        """
        if "both" not in self._derived:
            row, column = torch.cat([self.target, self.source]), torch.cat([self.source, self.target])
            number = torch.arange(len(self), device=row.device, dtype=torch.float64).repeat(2)
            self._derived["both"] = CSR.from_coo(row, column, number, shape=(self.num_nodes, self.num_nodes))
        found: CSR = self._derived["both"]
        return found

    def degrees(self) -> Tensor:
        """Returns (N,) int64: how many links each node has, whatever their direction."""
        return self.both_ways().indptr.diff()

    def edges(self, keep: Tensor) -> Tensor:
        """Returns (E,) booleans, the edges that stay where the links `keep`, (L,), do; self loops always."""
        return torch.cat([keep, keep.new_ones(1)])[self.of_edge]  # the last one is that of -1
