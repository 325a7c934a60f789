"""Prediction of links: which pairs of nodes are joined by an edge that the network has not seen.

The edges are split; the network passes messages along the training edges only. Each epoch sets the training
edges against as many fresh non-edges. Pairs are unordered: directions and repetitions of an edge count once,
which keeps the reverse of a test edge out of the training graph.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph
from gossamer.tasks import checks, metrics, pairs, splits
from gossamer.tasks.node import arguments
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split, Task

_BY_TIME = ("train", "val", "test")  # earliest first


class Pairs(NamedTuple):
    """Pairs of nodes that are edges, and pairs that are not; (2, P) and (2, Q) int64."""

    positive: Tensor
    negative: Tensor


class LinkPrediction(Task):
    """Predicts edges; the model is called as `model(x, graph)` and returns node embeddings (N, D).

    A pair's score is the dot product of its nodes' embeddings; the loss is the binary cross entropy of the
    scores. Training non-edges are drawn against the training edges, all that is known when training; those of
    validation and test are fixed, distinct, and no edges of the whole graph: as many as there are edges, or
    fewer where the graph is nearly complete.

    Args:
        graph: Its `x`, if it has one, are the features.
        val: Fraction of the edges for validation, in (0, 1).
        test: Fraction of the edges for the test, in (0, 1).
        by_time: Whether the earliest edges train and the latest test, by `graph.edge_data["time"]`; a pair
            counts at its first event.
        features: Where the graph has none: the width of fixed random features (Sato et al. 2021), or None for
            one column a node, which makes the first layer an embedding table.
        embedding: The width of embeddings that zoo models are built with.
        hits: k of the metric Hits@k; it is left out where a split has fewer than k non-edges.
        edge_index: Whether the model is called as a PyTorch Geometric one, `model(x, edge_index)`.
        seed: Which split, which fixed non-edges, and which random features.
        name: What reports call the task.

    Raises:
        DataError: Too few edges for the splits, no times where they are asked for, or features that do not
            fit.
    """

    metric = "auroc"

    def __init__(
        self,
        graph: Graph,
        *,
        val: float = 0.05,
        test: float = 0.10,
        by_time: bool = False,
        features: int | None = None,
        embedding: int = 64,
        hits: int = 20,
        edge_index: bool = False,
        seed: int = 0,
        name: str = "link-prediction",
    ) -> None:
        self.name = name
        self.hits = hits
        self.embedding = embedding
        checks.check_setting("hits", hits, ge=1)
        checks.check_setting("embedding", embedding, ge=1)
        checks.check_setting("val", val, gt=0, lt=1)
        checks.check_setting("test", test, gt=0, lt=1)
        numbers = _pair_numbers(graph, by_time=by_time)
        drawn = splits.fractions(len(numbers), val=val, test=test, seed=seed)
        if by_time:
            in_order = torch.split(torch.arange(len(numbers)), [len(drawn[part]) for part in _BY_TIME])
            drawn = dict(zip(_BY_TIME, in_order, strict=True))
        edges = {part: numbers[rows.to(numbers.device)] for part, rows in drawn.items()}
        self._train_numbers = edges["train"].sort().values
        self._positive = pairs.nodes_of(edges["train"])
        # As many non-edges as edges, and at least `hits`, where a graph is not so dense that there are fewer.
        most = max((pairs.count(graph.num_nodes) - len(numbers)) // 2, 1)
        amounts = [min(max(len(edges[part]), hits), most) for part in ("val", "test")]
        every = numbers.sort().values
        fixed = pairs.draw_non_edges(sum(amounts), graph.num_nodes, every, generator(seed, 1), distinct=True)
        for_val, for_test = torch.split(fixed, amounts, dim=1)
        self._fixed = {
            "val": Pairs(pairs.nodes_of(edges["val"]), for_val),
            "test": Pairs(pairs.nodes_of(edges["test"]), for_test),
        }
        x = graph.x if graph.x is not None else _features(graph.num_nodes, features, seed)
        checks.check_features(x, graph.num_nodes)
        both = torch.cat([self._positive, self._positive.flip(0)], dim=1)
        self.graph = Graph.from_edge_index(both, graph.num_nodes, x=x, ids=graph.ids).to(graph.device)
        self._inputs = arguments(self.graph, edge_index=edge_index)

    def steps(self) -> int:
        """Returns 1: a step sees all training edges."""
        return 1

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Pairs]:
        """Yields the edges of a split and non-edges, once; (seed, epoch) decide the training non-edges."""
        if split != "train":
            yield self._fixed[split]
            return
        amount, nodes = self._positive.shape[1], self.graph.num_nodes
        yield Pairs(self._positive, pairs.draw_non_edges(amount, nodes, self._train_numbers, generator(seed, epoch)))

    def loss(self, model: nn.Module, batch: Pairs) -> Tensor:
        """Returns the mean binary cross entropy over the edges and non-edges of a batch."""
        positive, negative = self._scores(model, batch)
        scores = torch.cat([positive, negative])
        truth = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)])
        return F.binary_cross_entropy_with_logits(scores, truth)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the area under the ROC curve, average precision and Hits@k over a split.

        Raises:
            ModelError: The model's output is not (N, D).
        """
        batch = next(self.batches(split))
        with metrics.evaluating(model):
            positive, negative = self._scores(model, batch)
        truth = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)]).long()
        found = metrics.ranking(torch.cat([positive, negative]), truth)
        if len(negative) >= self.hits:
            found[f"hits@{self.hits}"] = metrics.hits_at(self.hits, positive, negative)
        return found

    def example(self) -> tuple[Any, ...]:
        """Returns (x, graph) with the training edges, or (x, edge_index) where the task was made so."""
        return self._inputs

    def examples_per_step(self) -> float:
        """Returns 1.0: a step is one call on the whole graph."""
        return 1.0

    def dimensions(self) -> dict[str, int]:
        """Returns `in_features` and `out_features`, the width of the embeddings."""
        assert self.graph.x is not None
        return {"in_features": self.graph.x.shape[1], "out_features": self.embedding}

    def graphs(self) -> tuple[Graph, ...]:
        """Returns the graph of the training edges; that they are to be predicted does not depend on it."""
        return (self.graph,)

    def _on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool) -> Self:
        """Returns this task with messages along other edges."""
        other = copy.copy(self)
        other.graph = dataclasses.replace(self.graph, adjacency=graphs[0].adjacency, edge_data=graphs[0].edge_data)
        other._inputs = arguments(other.graph, edge_index=isinstance(self._inputs[1], Tensor) and not as_graph)
        return other

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its tensors on `device`."""
        moved = copy.copy(self)
        moved.graph = self.graph.to(device)
        moved._fixed = {part: Pairs(*(side.to(device) for side in both)) for part, both in self._fixed.items()}
        moved._positive, moved._train_numbers = self._positive.to(device), self._train_numbers.to(device)
        moved._inputs = arguments(moved.graph, edge_index=isinstance(self._inputs[1], Tensor))
        return moved

    def _scores(self, model: nn.Module, batch: Pairs) -> tuple[Tensor, Tensor]:
        embeddings = checks.check_output(
            model(*self._inputs),
            (self.graph.num_nodes, None),
            rows="node",
            columns="embedding dimension",
            hint="return an embedding of every node; the task scores pairs itself",
        )
        positive, negative = ((embeddings[side[0]] * embeddings[side[1]]).sum(dim=1) for side in batch)
        return positive, negative


def _pair_numbers(graph: Graph, *, by_time: bool) -> Tensor:
    """Returns the numbers of the distinct pairs that edges join, without loops; `by_time`: earliest first."""
    source, target = graph.to_edge_index()
    apart = source != target
    low, high = torch.minimum(source, target)[apart], torch.maximum(source, target)[apart]
    numbers: Tensor
    place: Tensor
    numbers, place = torch.unique(pairs.number(low, high), return_inverse=True)
    if not by_time:
        return numbers
    time = graph.edge_data.get("time")
    if time is None:
        raise DataError("by_time: the graph's edges have no time; name the time column when reading them")
    time = time[apart].double()
    first = torch.full((len(numbers),), torch.inf, dtype=torch.float64, device=time.device)
    first = first.scatter_reduce(0, place, time, reduce="amin")
    return numbers[torch.argsort(first, stable=True)]


def _features(nodes: int, width: int | None, seed: int) -> Tensor | CSR:
    """Returns features for nodes that have none: the unit matrix as a CSR, or random normal ones."""
    if width is None:
        return CSR(torch.arange(nodes + 1), torch.arange(nodes), shape=(nodes, nodes))
    checks.check_setting("features", width, ge=1)
    return torch.randn(nodes, width, generator=generator(seed, 2))
