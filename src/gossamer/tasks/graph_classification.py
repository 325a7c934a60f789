"""Classification of whole graphs, many small ones in a batch.

The graphs of a batch are laid side by side as one graph without edges between them (its adjacency is block
diagonal), together with a vector that says which graph each node is of: one sparse product serves them all.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph
from gossamer.tasks import checks, metrics, splits
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split, Task

_EVALUATION_BATCH = 256  # graphs
_DEGREES = 64  # the last column of degree features means "63 or more"


class GraphBatch(NamedTuple):
    """Some graphs side by side."""

    x: Tensor  # (N, F) features of all nodes
    graph: Graph  # their edges
    batch: Tensor  # (N,) int64, the graph of each node, rising
    y: Tensor  # (B,) int64, the class of each graph


class GraphClassification(Task):
    """Predicts the class of each graph; the model is called as `model(x, graph, batch)`: (B, classes).

    Args:
        graphs: Each with `y`, one class from 0, and at least one node. Where they have no `x`, nodes get
            their in-degree as a one-hot feature.
        val: Fraction of the graphs for validation, in (0, 1).
        test: Fraction of the graphs for the test, in (0, 1).
        batch_size: The most graphs a training step takes, at least 1.
        example_batch: How many graphs, of middling size, `example()` holds.
        edge_index: Whether the model is called as a PyTorch Geometric one, `model(x, edge_index, batch)`.
        seed: Which split.
        name: What reports call the task.

    Raises:
        DataError: Something is missing or does not fit; the message names the first offending graph.
    """

    metric = "accuracy"
    batch_size: int

    def __init__(
        self,
        graphs: Sequence[Graph],
        *,
        val: float = 0.1,
        test: float = 0.1,
        batch_size: int = 32,
        example_batch: int = 1,
        edge_index: bool = False,
        seed: int = 0,
        name: str = "graph-classification",
    ) -> None:
        self.name = name
        self.batch_size = batch_size
        self.edge_index = edge_index
        checks.check_setting("batch_size", batch_size, ge=1)
        checks.check_setting("example_batch", example_batch, ge=1)
        checks.check_setting("val", val, gt=0, lt=1)
        checks.check_setting("test", test, gt=0, lt=1)
        self._graphs = _with_features(graphs)
        labels = [_label(graph, i) for i, graph in enumerate(graphs)]
        self._y = torch.tensor(labels, device=self._graphs[0].device)
        self.classes = checks.check_labels(self._y, len(graphs))
        drawn = splits.fractions(len(graphs), val=val, test=test, seed=seed)
        self._rows: dict[str, Tensor] = drawn
        self._kept: dict[Split, list[GraphBatch]] = {}
        sizes = torch.tensor([graph.num_nodes for graph in self._graphs])
        middle = int(sizes.argsort(stable=True)[len(sizes) // 2])
        self._shown = torch.full((example_batch,), middle)  # the graphs of the example
        self._example = self._collate(self._shown)
        self._nodes_per_step = float(sizes[drawn["train"]].sum()) / self.steps()

    def steps(self) -> int:
        """Returns the number of batches that the training graphs make."""
        return math.ceil(len(self._rows["train"]) / self.batch_size)

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[GraphBatch]:
        """Yields batches whose sizes differ by at most one graph; (seed, epoch) decide the training order."""
        if split != "train":
            yield from self._in_order(split)
            return
        rows = self._rows["train"]
        order = rows[torch.randperm(len(rows), generator=generator(seed, epoch))]
        for chosen in order.tensor_split(self.steps()):
            yield self._collate(chosen)

    def loss(self, model: nn.Module, batch: GraphBatch) -> Tensor:
        """Returns the mean cross entropy over the graphs of a batch."""
        return F.cross_entropy(self._predict(model, batch), batch.y)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns accuracy and macro-F1 over a split.

        Raises:
            ModelError: The model's output is not (graphs, classes).
        """
        found = list(self._in_order(split))
        with metrics.evaluating(model):
            logits = torch.cat([self._predict(model, batch) for batch in found])
        return metrics.classification(logits, torch.cat([batch.y for batch in found]))

    def example(self) -> tuple[Any, ...]:
        """Returns (x, graph, batch) of `example_batch` graphs of the median number of nodes."""
        return self._arguments(self._example)

    def examples_per_step(self) -> float:
        """Returns the mean number of nodes a training step over the nodes of the example."""
        return self._nodes_per_step / self._example.graph.num_nodes

    def dimensions(self) -> dict[str, int]:
        """Returns `in_features` and `out_features`."""
        return {"in_features": self._example.x.shape[1], "out_features": self.classes}

    def graphs(self) -> tuple[Graph, ...]:
        """Returns all graphs, of every split, in the order given."""
        return tuple(self._graphs)

    def _on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool) -> Self:
        """Returns this task with other edges; features made of degrees stay those of the graphs given first."""
        other = copy.copy(self)
        other._graphs = [
            dataclasses.replace(own, adjacency=new.adjacency, edge_data=new.edge_data)
            for own, new in zip(self._graphs, graphs, strict=True)
        ]
        other.edge_index = self.edge_index and not as_graph
        other._kept = {}
        other._example = other._collate(self._shown)
        return other

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its tensors on `device`."""
        moved = copy.copy(self)
        moved._graphs = [graph.to(device) for graph in self._graphs]
        moved._y = self._y.to(device)
        moved._kept = {}
        x, graph, batch, y = self._example
        moved._example = GraphBatch(x.to(device), graph.to(device), batch.to(device), y.to(device))
        return moved

    def _in_order(self, split: Split) -> Iterator[GraphBatch]:
        """Yields the graphs of a split in order, in batches made once: they are asked for every epoch."""
        if split not in self._kept:
            self._kept[split] = [self._collate(rows) for rows in torch.split(self._rows[split], _EVALUATION_BATCH)]
        yield from self._kept[split]

    def _collate(self, rows: Tensor) -> GraphBatch:
        return side_by_side([self._graphs[row] for row in rows.tolist()], self._y[rows.to(self._y.device)])

    def _arguments(self, batch: GraphBatch) -> tuple[Any, ...]:
        return batch.x, batch.graph.to_edge_index() if self.edge_index else batch.graph, batch.batch

    def _predict(self, model: nn.Module, batch: GraphBatch) -> Tensor:
        return checks.check_output(
            model(*self._arguments(batch)),
            (len(batch.y), self.classes),
            rows="graph",
            columns="class",
            hint="pool the nodes of each graph into one row (models.graph.Readout does)",
        )


def side_by_side(graphs: Sequence[Graph], y: Tensor) -> GraphBatch:
    """Lays graphs side by side; what is known of the edges of all of them goes along.

    Args:
        graphs: Each with dense features of one width; at least one.
        y: (B,) class of each.
    """
    device = y.device
    nodes = torch.tensor([graph.num_nodes for graph in graphs], device=device)
    edges = torch.tensor([graph.num_edges for graph in graphs], device=device)
    first_node, first_edge = nodes.cumsum(0) - nodes, edges.cumsum(0) - edges
    parts = [graph.adjacency for graph in graphs]
    start = torch.cat([part.indptr[:-1] for part in parts]) + first_edge.repeat_interleave(nodes)
    indptr = torch.cat([start, edges.sum().reshape(1)])
    indices = torch.cat([part.indices for part in parts]) + first_node.repeat_interleave(edges)
    values = None
    if any(part.values is not None for part in parts):
        values = torch.cat(
            [torch.ones(part.nnz, device=device) if part.values is None else part.values for part in parts]
        )
    total = int(nodes.sum())
    adjacency = CSR(indptr, indices, values, shape=(total, total))
    x = torch.cat([graph.x for graph in graphs if isinstance(graph.x, Tensor)])
    return GraphBatch(
        x,
        Graph(adjacency, edge_data=_edge_data(graphs)),
        torch.arange(len(graphs), device=device).repeat_interleave(nodes),
        y,
    )


def _edge_data(graphs: Sequence[Graph]) -> dict[str, Tensor]:
    """Returns the edge data that all graphs have, of one shape and dtype an edge, one after the other."""
    found = {}
    for name in graphs[0].edge_data:
        parts = [graph.edge_data[name] for graph in graphs if name in graph.edge_data]
        if len(parts) == len(graphs) and len({(part.shape[1:], part.dtype) for part in parts}) == 1:
            found[name] = torch.cat(parts)
    return found


def _with_features(graphs: Sequence[Graph]) -> list[Graph]:
    """Returns the graphs with dense features, checked, all of one width."""
    if not graphs:
        raise DataError("graph classification: found no graphs, expected a list with at least three")
    made: list[Graph] = []
    width: int | None = None
    for i, graph in enumerate(graphs):
        if not graph.num_nodes:
            raise DataError(f"graph {i} has no nodes; expected at least one, leave it out")
        x = graph.x
        if x is None:
            x = F.one_hot(graph.degrees().clamp(max=_DEGREES - 1), _DEGREES).float()
        elif isinstance(x, CSR):
            x = x.to_dense()
        checks.check_features(x, graph.num_nodes, name=f"features of graph {i}")
        width = width or x.shape[1]
        if x.shape[1] != width:
            raise DataError(f"graph {i} has {x.shape[1]} features, expected {width} as graph 0 has")
        made.append(dataclasses.replace(graph, x=x))
    return made


def _label(graph: Graph, i: int) -> int:
    if graph.y is None or graph.y.numel() != 1 or graph.y.is_floating_point():
        found = "no label" if graph.y is None else f"labels {graph.y.dtype} of shape {tuple(graph.y.shape)}"
        raise DataError(f"graph {i} has {found}, expected y to be one integer class")
    return int(graph.y)
