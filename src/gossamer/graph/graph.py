"""A graph in memory: who sends to whom, and what is known about nodes and edges.

The adjacency holds incoming edges, row = target and column = source, because a graph layer computes, for
every node, a sum over the edges that end there; that sum is one sparse product. Everything derived from the
adjacency (with self loops, normalised, transposed) is computed on first use and kept, so that a full-batch
training loop pays for it once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph import normalize
from gossamer.graph.csr import CSR, sort_coordinates
from gossamer.kernels.maximum import maximum
from gossamer.kernels.propagate import propagate
from gossamer.kernels.sampling import induce
from gossamer.kernels.transpose import Transpose

T = TypeVar("T")

Features = Tensor | CSR


@dataclass(frozen=True, eq=False)
class Graph:
    """A directed graph; an undirected one has both directions of every edge. Immutable by convention.

    Raises:
        DataError: The adjacency is not square, or something has not one row a node or an edge.
    """

    adjacency: CSR  # (N, N): row = target, column = source, values = edge weights, None for ones
    x: Features | None = None  # (N, F) node features
    y: Tensor | None = None  # (N,) or (N, C) node labels, or the label of the whole graph
    masks: Mapping[str, Tensor] = field(default_factory=dict)  # split name to (N,) or (N, splits), True = member
    edge_data: Mapping[str, Tensor] = field(default_factory=dict)  # name ("time", "type", ...) to (E,) or (E, D)
    ids: np.ndarray[Any, Any] | None = None  # (N,) what each node is called where it came from
    _derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        nodes, columns = self.adjacency.shape
        if nodes != columns:
            raise DataError(f"Graph: adjacency has shape {self.adjacency.shape}; expected as many rows as columns")
        per_node = {"x": self.x, "ids": self.ids} | {f"mask {name!r}": mask for name, mask in self.masks.items()}
        for name, value in per_node.items():
            if value is not None and value.shape[0] != nodes:
                raise DataError(f"Graph: {name} has shape {tuple(value.shape)}; expected {nodes} rows, one a node")
        for name, value in self.edge_data.items():
            if value.shape[:1] != (self.num_edges,):
                raise DataError(
                    f"Graph: edge_data[{name!r}] has shape {tuple(value.shape)}; "
                    f"expected {self.num_edges} rows, one an edge"
                )

    def __repr__(self) -> str:
        parts = [f"num_nodes={self.num_nodes}", f"num_edges={self.num_edges}"]
        parts += [f"{name}={tuple(value.shape)}" for name, value in (("x", self.x), ("y", self.y)) if value is not None]
        parts += [
            f"{name}={sorted(value)}" for name, value in (("masks", self.masks), ("edge_data", self.edge_data)) if value
        ]
        return f"Graph({', '.join(parts)})"

    @property
    def num_nodes(self) -> int:
        """The number of nodes, N."""
        return self.adjacency.shape[0]

    @property
    def num_edges(self) -> int:
        """The number of directed edges, E; an undirected edge counts twice, a self loop once."""
        return self.adjacency.nnz

    @property
    def weights(self) -> Tensor | None:
        """(E,) the edge weights in the adjacency's order, or None where all are 1."""
        return self.adjacency.values

    @property
    def device(self) -> torch.device:
        """Where the graph lives."""
        return self.adjacency.device

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Tensor,
        num_nodes: int | None = None,
        weights: Tensor | None = None,
        *,
        edge_data: Mapping[str, Tensor] | None = None,
        x: Features | None = None,
        y: Tensor | None = None,
        masks: Mapping[str, Tensor] | None = None,
        ids: np.ndarray[Any, Any] | None = None,
    ) -> Self:
        """Makes a graph from edges in any order; parallel edges stay apart.

        Args:
            edge_index: (2, E) integers: sources in row 0, targets in row 1.
            num_nodes: N; by default the rows of `x`, or one more than the largest node in `edge_index`.
            weights: (E,) floats, or None for ones.
            edge_data: Name to (E,) or (E, D), in the order of `edge_index`.
            x: (N, F) node features.
            y: Node labels.
            masks: Split name to boolean (N,).
            ids: (N,) names of the nodes.

        Raises:
            DataError: Not (2, E) integers, a node out of range, or something of the wrong length.
        """
        if edge_index.dim() != 2 or edge_index.shape[0] != 2 or edge_index.dtype.is_floating_point:
            raise DataError(f"edge_index is {edge_index.dtype} {tuple(edge_index.shape)}; expected integers (2, E)")
        edges = edge_index.shape[1]
        if num_nodes is None:
            num_nodes = int(edge_index.max()) + 1 if edges else 0
            num_nodes = num_nodes if x is None else x.shape[0]
        named = dict(edge_data or {}) | ({} if weights is None else {"weights": weights})
        for name, value in named.items():
            if value.shape[:1] != (edges,):
                raise DataError(f"{name} has shape {tuple(value.shape)}; expected {edges} rows, one an edge")
        source, target = edge_index
        shape = (num_nodes, num_nodes)
        indptr, order = sort_coordinates(target, source, shape=shape)
        adjacency = CSR(indptr, source[order], None if weights is None else weights[order], shape=shape)
        ordered = {name: value[order] for name, value in (edge_data or {}).items()}
        return cls(adjacency, x=x, y=y, masks=masks or {}, edge_data=ordered, ids=ids)

    def to_edge_index(self) -> Tensor:
        """Returns (2, E) int64: sources in row 0, targets in row 1, sorted by target; computed once."""
        return self._once("edge_index", lambda: torch.stack([self.adjacency.indices.long(), self.adjacency.rows]))

    @classmethod
    def from_pyg(cls, data: Any) -> Graph:
        """Makes a graph from a PyTorch Geometric `Data`; see `gossamer.graph.convert.from_pyg`."""
        from gossamer.graph import convert

        return convert.from_pyg(data)

    def to_pyg(self) -> Any:
        """Returns a PyTorch Geometric `Data`; see `gossamer.graph.convert.to_pyg`."""
        from gossamer.graph import convert

        return convert.to_pyg(self)

    @classmethod
    def from_networkx(cls, graph: Any, *, weight: str = "weight") -> Graph:
        """Makes a graph from a networkx graph; see `gossamer.graph.convert.from_networkx`."""
        from gossamer.graph import convert

        return convert.from_networkx(graph, weight=weight)

    def to_networkx(self, *, directed: bool = True) -> Any:
        """Returns a networkx graph; see `gossamer.graph.convert.to_networkx`."""
        from gossamer.graph import convert

        return convert.to_networkx(self, directed=directed)

    @classmethod
    def from_scipy(cls, matrix: Any) -> Graph:
        """Makes a graph from a scipy matrix whose entry (i, j) is the edge i -> j, as its csgraph does."""
        return cls(CSR.from_scipy(matrix.T))

    def to_scipy(self) -> Any:
        """Returns a `scipy.sparse.csr_array` whose entry (i, j) is the weight of the edge i -> j."""
        return self.adjacency.t().to_scipy()

    def aggregate(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Returns, for every node, the sum over incoming edges of weight times the source's row of `x`.

        Args:
            x: (N, F) or (N, H, F).
            weights: (E,) or (E, H) in the adjacency's order; by default those of the graph.

        Returns:
            A tensor of the shape of `x`; gradients reach `x` and the weights.
        """
        return self.adjacency.aggregate(x, self.adjacency.values if weights is None else weights)

    def symmetric_sum(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns D^-1/2 A D^-1/2 x + bias for x (N, F) and bias (F,); see `symmetric`.

        On a graph without weights none are made: the square roots of the degrees are factors of the nodes.
        """
        if self.weights is not None or x.dim() != 2:
            out = self.symmetric().aggregate(x)
            return out if bias is None else out + bias
        scale = self._scale(-0.5, x.dtype)
        return self.propagate(x, source=scale, target=scale, bias=bias)

    def mean(self, x: Tensor) -> Tensor:
        """Returns D^-1 A x, the mean over incoming edges, for x (N, F); see `row_normalized`."""
        if self.weights is not None or x.dim() != 2:
            return self.row_normalized().aggregate(x)
        return self.propagate(x, target=self._scale(-1.0, x.dtype))

    def propagate(self, x: Tensor, **parts: Any) -> Tensor:
        """Returns the sum over incoming edges with scales and what follows; `parts` as in `kernels.propagate`.

        Edge weights are not used.
        """
        adjacency = self.adjacency
        return propagate(adjacency.indptr, adjacency.indices, x, transpose=self.back(x), **parts)

    def maximum(self, x: Tensor) -> Tensor:
        """Returns (N, F): the largest of each feature of x (N, F) over incoming edges, 0 where there are none."""
        return maximum(self.adjacency.indptr, self.adjacency.indices, x, transpose=self.back(x))

    def back(self, *inputs: Tensor) -> Transpose | None:
        """Returns the edges by source, which kernels need for gradients; None if no input asks for one."""
        needed = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
        return self.adjacency.transpose if needed else None

    def _scale(self, power: float, dtype: torch.dtype) -> Tensor:
        """Returns (N,) the in-degrees to a negative power, 0 for nodes without edges; computed once."""

        def make() -> Tensor:
            degree = self.degrees().to(dtype)
            return torch.where(degree > 0, degree.pow(power), torch.zeros_like(degree))

        return self._once(("scale", power, dtype), make)

    def add_self_loops(self, weight: float = 1.0) -> Graph:
        """Returns the graph with one self loop a node, as `normalize.with_self_loops`; without edge data."""
        return self._once(
            ("loops", weight),
            lambda: dataclasses.replace(
                self, adjacency=normalize.with_self_loops(self.adjacency, weight), edge_data={}
            ),
        )

    def symmetric(self) -> Graph:
        """Returns the graph with weights D^-1/2 A D^-1/2; add self loops first for the GCN's matrix."""
        return self._once("symmetric", lambda: dataclasses.replace(self, adjacency=normalize.symmetric(self.adjacency)))

    def row_normalized(self) -> Graph:
        """Returns the graph with weights D^-1 A, so that `aggregate` takes the mean over incoming edges."""
        return self._once("row", lambda: dataclasses.replace(self, adjacency=normalize.by_row(self.adjacency)))

    def degrees(self) -> Tensor:
        """Returns (N,) int64: how many edges end at each node."""
        return self.adjacency.indptr.diff()

    def is_undirected(self) -> bool:
        """Says whether every edge has its reverse, with the same weight; computed once."""
        return self._once("undirected", lambda: _same(self.adjacency, self.adjacency.t()))

    def to_undirected(self) -> Graph:
        """Returns the graph with the reverse of every edge: one edge a direction and pair, without edge data.

        Weights of parallel edges, and of an edge and a reverse that is there already, are averaged.
        """
        adjacency = self.adjacency
        ends = torch.stack([adjacency.rows, adjacency.indices.long()])
        values = adjacency.to_values()
        # Each pair is averaged once, then mirrored, so that both directions are equal to the last bit.
        pairs, shape = (ends.amin(0), ends.amax(0)), adjacency.shape
        total = CSR.from_coo(*pairs, values, shape=shape, sum_duplicates=True)
        count = CSR.from_coo(*pairs, torch.ones_like(values), shape=shape, sum_duplicates=True)
        low, high, mean = total.rows, total.indices.long(), total.to_values() / count.to_values()
        apart = low != high
        row, column = torch.cat([low, high[apart]]), torch.cat([high, low[apart]])
        weights = None if self.weights is None else torch.cat([mean, mean[apart]])
        return dataclasses.replace(self, adjacency=CSR.from_coo(row, column, weights, shape=shape), edge_data={})

    def induced(self, nodes: Tensor) -> Graph:
        """Returns the subgraph of some nodes and the edges between them, renumbered in the order of `nodes`.

        Args:
            nodes: (K,) distinct node numbers, or (N,) booleans. A graph-level `y` is kept as it is.

        Raises:
            DataError: A node is out of range or given twice.
        """
        if nodes.dtype == torch.bool:
            if nodes.shape != (self.num_nodes,):
                raise DataError(f"induced: mask has shape {tuple(nodes.shape)}; expected ({self.num_nodes},)")
            nodes = nodes.nonzero().squeeze(1)
        if nodes.numel() and not 0 <= int(nodes.min()) <= int(nodes.max()) < self.num_nodes:
            raise DataError(f"induced: node {int(nodes.max())} given; expected 0 to {self.num_nodes - 1}")
        if torch.unique(nodes).shape[0] != nodes.shape[0]:
            raise DataError("induced: a node is given twice; pass each once, for example nodes.unique()")
        adjacency = self.adjacency
        indptr, source, kept = induce(adjacency.indptr, adjacency.indices, self.num_nodes, nodes.long().contiguous())
        target = torch.repeat_interleave(indptr.diff(), output_size=kept.shape[0])
        return type(self).from_edge_index(
            torch.stack([source.long(), target]),
            nodes.shape[0],
            None if self.weights is None else self.weights[kept],
            edge_data={name: value[kept] for name, value in self.edge_data.items()},
            x=select_rows(self.x, nodes),
            y=self.y[nodes] if self.y is not None and self.y.shape[:1] == (self.num_nodes,) else self.y,
            masks={name: mask[nodes] for name, mask in self.masks.items()},
            ids=None if self.ids is None else self.ids[nodes.cpu().numpy()],
        )

    def with_edges(self, keep: Tensor, weights: Tensor | None = None) -> Graph:
        """Returns the graph of the same nodes with some of its edges, in their order.

        Args:
            keep: (E,) booleans.
            weights: Those of the edges that stay, one each; by default the ones they have.

        Raises:
            DataError: There is not one boolean an edge, or not one weight an edge that stays.
        """
        if keep.dtype != torch.bool or keep.shape != (self.num_edges,):
            raise DataError(f"with_edges: found {keep.dtype} {tuple(keep.shape)}; expected bool ({self.num_edges},)")
        adjacency = self.adjacency
        before = torch.cat([adjacency.indptr.new_zeros(1), keep.cumsum(0)])
        if weights is None and adjacency.values is not None:
            weights = adjacency.values[keep]
        kept = CSR(before[adjacency.indptr], adjacency.indices[keep], weights, shape=adjacency.shape)
        edge_data = {name: value[keep] for name, value in self.edge_data.items()}
        return dataclasses.replace(self, adjacency=kept, edge_data=edge_data)

    def to(self, device: torch.device | str) -> Graph:
        """Returns this graph with everything on `device`; itself where it is there already."""
        if self.adjacency.to(device) is self.adjacency:
            return self
        return dataclasses.replace(
            self,
            adjacency=self.adjacency.to(device),
            x=None if self.x is None else self.x.to(device),
            y=None if self.y is None else self.y.to(device),
            masks={name: mask.to(device) for name, mask in self.masks.items()},
            edge_data={name: value.to(device) for name, value in self.edge_data.items()},
        )

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        """Returns what `make` gives, computed once; weights that are being learned are never kept."""
        if self.weights is not None and self.weights.requires_grad:
            return make()
        if key not in self._derived:
            # What is kept must serve training too, which inference tensors cannot.
            with torch.inference_mode(False):
                self._derived[key] = make()
        return cast("T", self._derived[key])


def _same(left: CSR, right: CSR) -> bool:
    """Says whether two matrices of one shape have the same entries, in whatever order."""
    return all(torch.equal(one, other) for one, other in zip(_canonical(left), _canonical(right), strict=True))


def _canonical(matrix: CSR) -> tuple[Tensor, Tensor]:
    """Returns place and value of each entry, sorted by place, then value."""
    value, order = torch.sort(matrix.to_values())
    place, second = torch.sort((matrix.rows * max(matrix.shape[1], 1) + matrix.indices)[order], stable=True)
    return place, value[second]


def select_rows(x: Features | None, nodes: Tensor) -> Features | None:
    """Returns the rows `nodes` of features, dense or sparse."""
    if x is None or isinstance(x, Tensor):
        return None if x is None else x[nodes]
    count = x.indptr.diff()[nodes]
    indptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    entry = torch.arange(int(indptr[-1]), device=x.device)
    entry += torch.repeat_interleave(x.indptr[nodes] - indptr[:-1], count)
    return CSR(
        indptr,
        x.indices[entry],
        None if x.values is None else x.values[entry],
        shape=(len(nodes), x.shape[1]),
    )
