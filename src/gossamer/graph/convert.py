"""Graphs of other libraries, there and back: PyTorch Geometric and networkx.

What a foreign graph holds and a `Graph` does not (attributes of networkx nodes, PyG's own extra fields) is
left behind; what is taken over comes back unchanged by the opposite function, edges in sorted order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph.csr import CSR
from gossamer.graph.graph import Graph

_SPLITS = ("train", "val", "test")


def from_pyg(data: Any) -> Graph:
    """Makes a graph from a `torch_geometric.data.Data`.

    `x`, `y` and `train_mask`, `val_mask`, `test_mask` are taken over. The weights are `edge_weight`, or else
    an `edge_attr` of one number an edge. Every other edge attribute goes to `edge_data`, without the prefix
    `edge_`.

    Raises:
        DataError: There is no `edge_index`, or something does not fit it.
    """
    if getattr(data, "edge_index", None) is None:
        raise DataError(f"{type(data).__name__} has no edge_index; apply a transform that makes one first")
    count = data.edge_index.shape[1]
    edges = {
        name: value
        for name, value in data
        if name.startswith("edge_") and not name.endswith("index") and isinstance(value, Tensor) and value.dim()
    }
    edges = {name: value for name, value in edges.items() if value.shape[0] == count}
    weights = edges.pop("edge_weight", None)
    attribute = edges.get("edge_attr")
    if weights is None and attribute is not None and attribute.numel() == count:
        weights = edges.pop("edge_attr").reshape(-1)
    x = data.x
    if x is not None and x.layout != torch.strided:
        x = x.to_sparse_csr()
        x = CSR(x.crow_indices(), x.col_indices(), x.values(), shape=tuple(x.shape))
    return Graph.from_edge_index(
        data.edge_index,
        data.num_nodes,
        weights,
        edge_data={name.removeprefix("edge_"): value for name, value in edges.items()},
        x=x,
        y=data.y,
        masks={split: data[f"{split}_mask"] for split in _SPLITS if f"{split}_mask" in data},
    )


def to_pyg(graph: Graph) -> Any:
    """Returns a `torch_geometric.data.Data`; sparse features become a `torch.sparse_csr` tensor."""
    from torch_geometric.data import Data

    x: Any = graph.x
    if isinstance(x, CSR):
        x = torch.sparse_csr_tensor(x.indptr, x.indices.long(), x.to_values(), x.shape, check_invariants=False)
    data = Data(x=x, edge_index=graph.to_edge_index(), y=graph.y, num_nodes=graph.num_nodes)
    if graph.weights is not None:
        data.edge_weight = graph.weights
    for name, value in graph.edge_data.items():
        data[f"edge_{name}"] = value
    for split, mask in graph.masks.items():
        data[f"{split}_mask"] = mask
    return data


def from_networkx(graph: Any, *, weight: str = "weight") -> Graph:
    """Makes a graph from a networkx graph, directed or not, with or without parallel edges.

    Nodes are numbered in networkx's order and their labels kept in `ids`. An undirected edge becomes both
    directions, an undirected self loop one edge.

    Args:
        graph: The networkx graph.
        weight: The edge attribute to take as weight; 1 where an edge lacks it, no weights where all do.
    """
    labels = list(graph.nodes)
    number = {label: place for place, label in enumerate(labels)}
    rows = [(number[u], number[v], value) for u, v, value in graph.edges(data=weight)]
    if not graph.is_directed():
        rows += [(v, u, value) for u, v, value in rows if u != v]
    edge_index = torch.tensor([(u, v) for u, v, _ in rows], dtype=torch.int64).reshape(-1, 2).t()
    weights = None
    if any(value is not None for _, _, value in rows):
        weights = torch.tensor([1.0 if value is None else float(value) for _, _, value in rows])
    ids = np.empty(len(labels), dtype=object)
    ids[:] = labels
    return Graph.from_edge_index(edge_index, len(labels), weights, ids=ids)


def to_networkx(graph: Graph, *, directed: bool = True) -> Any:
    """Returns a networkx graph whose nodes carry `ids` where the graph has them and numbers otherwise.

    Parallel edges make it a multigraph. Weights become the edge attribute `weight`.

    Args:
        graph: The graph.
        directed: False gives an undirected graph, each pair of opposite edges once.

    Raises:
        DataError: `directed` is False, but some edge lacks its reverse.
    """
    import networkx

    if not directed and not graph.is_undirected():
        raise DataError("to_networkx(directed=False): some edge lacks its reverse; call .to_undirected() first")
    source, target = graph.to_edge_index()
    kept = torch.ones_like(source, dtype=torch.bool) if directed else source <= target
    place = (target * graph.num_nodes + source)[kept]
    parallel = place.unique().shape[0] < place.shape[0]
    kinds = {
        (True, False): networkx.DiGraph,
        (True, True): networkx.MultiDiGraph,
        (False, False): networkx.Graph,
        (False, True): networkx.MultiGraph,
    }
    result = kinds[directed, parallel]()
    labels = list(range(graph.num_nodes)) if graph.ids is None else graph.ids.tolist()
    result.add_nodes_from(labels)
    ends = [(labels[u], labels[v]) for u, v in zip(source[kept].tolist(), target[kept].tolist(), strict=True)]
    if graph.weights is None:
        result.add_edges_from(ends)
    else:
        weights = graph.weights[kept].tolist()
        result.add_weighted_edges_from((u, v, w) for (u, v), w in zip(ends, weights, strict=True))
    return result
