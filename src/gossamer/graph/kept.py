"""Which edges of some graphs a network was made for: what a file keeps, and only the same graphs take back.

A network trained on graphs with fewer edges computes something else on the whole ones, so its edges belong to it. They
are kept as one bit an edge of the original graphs, and weights where those are new; a hash of the original edges and
weights tells whether some other graphs are these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph.graph import Graph


@dataclass(frozen=True, eq=False)
class KeptEdges:
    """The edges of some graphs that stay, all graphs one after the other: E edges, K of which stay."""

    keep: Tensor  # (E,) booleans
    weights: Tensor | None  # (K,) floats of the edges that stay; None where they have their own
    digest: str  # of the original graphs' edges and weights

    @classmethod
    def between(cls, graphs: Sequence[Graph], fewer: Sequence[Graph]) -> Self:
        """Finds which edges of graphs have stayed in others, which have the same nodes.

        Raises:
            DataError: There are not as many, or one has other nodes or an edge that is not in the original.
        """
        if len(graphs) != len(fewer):
            raise DataError(f"kept edges: found {len(fewer)} graphs, expected {len(graphs)}")
        masks = [_kept(graph, other, place) for place, (graph, other) in enumerate(zip(graphs, fewer, strict=True))]
        weights = None
        for mask, graph, other in zip(masks, graphs, fewer, strict=True):
            if other.weights is not None and not torch.equal(other.weights, graph.adjacency.to_values()[mask]):
                weights = torch.cat([one.adjacency.to_values() for one in fewer])
                break
        keep = torch.cat(masks) if masks else torch.ones(0, dtype=torch.bool)
        return cls(keep.cpu(), None if weights is None else weights.detach().cpu(), digest(graphs))

    def of(self, graphs: Sequence[Graph]) -> tuple[Graph, ...]:
        """Returns the graphs with the edges that stay.

        Raises:
            DataError: These are not the graphs that the edges were chosen from.
        """
        edges = sum(graph.num_edges for graph in graphs)
        if edges != len(self.keep) or digest(graphs) != self.digest:
            raise DataError(
                f"the network was made for some of the edges of another graph: found {edges} edges, expected the graph "
                f"of {len(self.keep)} edges it was compressed on (the same nodes, edges and weights); read that data, "
                "with the seed of the run where the split depends on it"
            )
        masks = torch.split(self.keep, [graph.num_edges for graph in graphs])
        weights: Sequence[Tensor | None] = [None] * len(graphs)
        if self.weights is not None:
            weights = torch.split(self.weights, [int(mask.sum()) for mask in masks])
        return tuple(
            graph.with_edges(mask.to(graph.device), None if weight is None else weight.to(graph.device))
            for graph, mask, weight in zip(graphs, masks, weights, strict=True)
        )

    def arrays(self) -> dict[str, Tensor]:
        """Returns what a file stores: `keep` as (⌈E/8⌉,) uint8, eight edges a byte, and `weights` if there are any."""
        packed = {"keep": torch.from_numpy(np.packbits(self.keep.numpy()))}
        return packed if self.weights is None else packed | {"weights": self.weights.contiguous()}

    def record(self) -> dict[str, Any]:
        """Returns the JSON object that stands beside the arrays."""
        return {"edges": len(self.keep), "kept": int(self.keep.sum()), "digest": self.digest}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Tensor], record: dict[str, Any]) -> Self:
        """Takes back what `arrays` and `record` returned; raises KeyError or ValueError where they do not fit."""
        keep = torch.from_numpy(np.unpackbits(arrays["keep"].numpy(), count=record["edges"])).bool()
        weights = arrays.get("weights")
        if int(keep.sum()) != record["kept"] or (weights is not None and len(weights) != record["kept"]):
            raise ValueError(f"kept edges: {int(keep.sum())} found, {record['kept']} expected")
        return cls(keep, weights, record["digest"])


def digest(graphs: Sequence[Graph]) -> str:
    """Returns a hash of the nodes, edges and weights of graphs, 64 hexadecimal digits."""
    found = hashlib.sha256()
    for graph in graphs:
        adjacency = graph.adjacency
        parts = [adjacency.indptr.long(), adjacency.indices.long()]
        parts += [] if adjacency.values is None else [adjacency.values.detach().double()]
        for part in parts:
            found.update(str(tuple(part.shape)).encode())
            found.update(part.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _kept(graph: Graph, fewer: Graph, place: int) -> Tensor:
    """Returns (E,) booleans: which edges of a graph are in another; of parallel edges the first."""
    if graph.num_nodes != fewer.num_nodes:
        raise DataError(f"kept edges: graph {place} has {fewer.num_nodes} nodes, expected {graph.num_nodes}")
    keys, others = _numbered(graph), _numbered(fewer)
    found = torch.isin(keys, others)
    if int(found.sum()) != fewer.num_edges:
        raise DataError(f"kept edges: graph {place} has an edge that the original has not; remove edges, add none")
    return found


def _numbered(graph: Graph) -> Tensor:
    """Returns (E,) numbers, different for all edges: those of one place count up, the first the same in any graph."""
    adjacency = graph.adjacency
    place = adjacency.rows * max(graph.num_nodes, 1) + adjacency.indices.long()
    ordered, order = torch.sort(place, stable=True)
    copy = torch.empty_like(place)
    copy[order] = torch.arange(len(place), device=place.device) - torch.searchsorted(ordered, ordered)
    return copy * graph.num_nodes**2 + place
