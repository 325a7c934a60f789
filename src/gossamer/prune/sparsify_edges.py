"""Removes edges of the graph before training, by structure alone: the network then learns on what is left.

How edges are chosen is a `Sparsifier` (`gossamer.graph.sparsify`): at random, by effective resistance, by degree or by
similarity. Of a task of many graphs, each loses the same fraction. The task on the edges that stay takes the place of
the one given, in training, at test, and wherever the network is measured; a file keeps which edges those are. For
weights too, name a pruning method after this one.

Attention takes no weights, so of what `spectral` returns a GAT sees which edges stay, and not their new weights.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.errors import ModelError
from gossamer.graph import Graph
from gossamer.graph.sparsify import RandomEdges, Sparsified, Sparsifier, sparsify
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class SparsifyEdges(Method):
    """Removes a fraction of the graph's edges, then trains."""

    name = "sparsify-edges"
    knob = "removed"
    knobs = ("by",)
    needs_graph = True
    removed: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of the edges; both directions of one count once
    by: Sparsifier = field(default_factory=RandomEdges)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> OnFewerEdges:
        """Begins: the edges are gone from here on.

        Raises:
            ModelError: The task has no graph, or the network takes no edge weights and the sparsifier makes some.
            DataError: The sparsifier does not take the graph.
        """
        graphs = require_graphs(self, task)
        seeds = torch.randint(2**62, (len(graphs),)).tolist()
        found = [sparsify(graph, self.by, self.removed, seed=seed) for graph, seed in zip(graphs, seeds, strict=True)]
        fewer = task.on_graphs([one.graph for one in found])
        if any(one.graph.weights is not None for one in found):
            _require_weights_taken(self, model, fewer)
        return OnFewerEdges(model, fewer, found, epochs=epochs)


class OnFewerEdges(Compression):
    """The state of one run of `SparsifyEdges`: plain training on the task it made."""

    def __init__(self, model: nn.Module, task: Task, found: list[Sparsified], *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self.task = task
        self._report = edges_report([one.keep for one in found], isolated=sum(one.isolated for one in found))
        self._report["seed"] = found[0].seed

    def notes(self) -> tuple[str, ...]:
        """Says how many nodes have lost their last edge."""
        return isolation_note(self._report)

    def report(self) -> dict[str, Any]:
        """Returns how many edges there were and are, how many nodes are isolated by it, and the first graph's seed."""
        return dict(self._report)


def require_graphs(method: Method, task: Task) -> tuple[Graph, ...]:
    """Returns the graphs of a task; raises ModelError where it has none, or none with an edge."""
    graphs = task.graphs()
    if not any(graph.num_edges for graph in graphs):
        raise ModelError(
            f"{method.name} removes edges, but the task {task.name!r} has no graph with any; take a task on a graph, "
            "or a method that prunes weights alone, such as 'lottery'"
        )
    return graphs


def edges_report(keep: list[Tensor], *, isolated: int) -> dict[str, Any]:
    """Returns the record of which edges stay."""
    edges, kept = sum(len(one) for one in keep), sum(int(one.sum()) for one in keep)
    return {"edges": edges, "edges_kept": kept, "edges_removed": 1.0 - kept / max(edges, 1), "isolated_nodes": isolated}


def isolation_note(report: dict[str, Any]) -> tuple[str, ...]:
    """Returns what a reader must know of nodes without edges."""
    count = report.get("isolated_nodes", 0)
    return (f"Nodes that have lost their last edge, and hear only themselves: {count}.",) if count else ()


def _require_weights_taken(method: Method, model: nn.Module, task: Task) -> None:
    """Raises ModelError where a network that is called with an edge_index cannot be given the weights of its edges."""
    example = task.example()
    if any(isinstance(argument, Graph) for argument in example):
        return
    try:
        inspect.signature(model.forward).bind(*example)
    except TypeError:
        taken = False
    else:
        taken = any(isinstance(one, Tensor) and one.dim() == 1 and one.is_floating_point() for one in example[2:])
    if not taken:
        raise ModelError(
            f"{method.name}: the sparsifier weighs the edges anew, but {type(model).__name__} takes no edge weights "
            'after the edge_index; let it take them, or leave weights alone: by={"name": "spectral", "rescale": false}'
        )


SPARSIFY_EDGES = register(
    "sparsify-edges",
    SparsifyEdges(),
    summary="Remove edges of the graph before training, at random or by structure (by=spectral, local-degree, ...).",
)
