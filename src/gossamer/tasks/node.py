"""Classification of the nodes of one graph, in one batch a step.

Every step runs the network on the whole graph and takes the loss on the training nodes: the transductive
setting of Kipf & Welling 2017. Features, labels and splits are checked when the task is made.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph
from gossamer.tasks import checks, metrics, splits
from gossamer.tasks.task import Split, Task

_SPLITS = ("train", "val", "test")


class NodeClassification(Task):
    """Predicts the class of each node; the model is called as `model(x, graph)` and returns (N, classes).

    Args:
        graph: With `x`, (N, F) dense or CSR; `y`, (N,) classes from 0, -1 where unknown; and `masks` "train",
            "val" and "test", each (N,) or (N, splits) boolean.
        split: Which column of masks with several splits.
        classes: The number of classes; by default the largest label in any split + 1.
        metric: The headline: "accuracy", or "auroc" for two classes of unequal size.
        edge_index: Whether the model is called as a PyTorch Geometric one, `model(x, edge_index)` with dense
            features (and the edge weights as third argument where the graph has them).
        name: What reports call the task.

    Raises:
        DataError: Something is missing or does not fit; the message names the first offending node.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        split: int = 0,
        classes: int | None = None,
        metric: Literal["accuracy", "auroc"] = "accuracy",
        edge_index: bool = False,
        name: str = "node-classification",
    ) -> None:
        self.name = name
        self.metric: str = metric
        missing = [part for part in ("x", "y") if getattr(graph, part) is None]
        missing += [f"{part} mask" for part in _SPLITS if part not in graph.masks]
        if missing:
            raise DataError(
                f"{name}: the graph has no {missing[0]}, expected x, y and train, val and test masks;"
                f" NodeClassification.from_graph draws random splits"
            )
        checks.check_features(graph.x, graph.num_nodes)
        masks = {part: _column(graph.masks[part], split, part) for part in _SPLITS}
        checks.check_masks(masks, graph.num_nodes)
        used = masks["train"] | masks["val"] | masks["test"]
        self.classes = checks.check_labels(graph.y, graph.num_nodes, classes=classes, used=used)
        self.graph = dataclasses.replace(graph, masks=masks)
        self._y: Tensor = graph.y.long()  # type: ignore[union-attr]
        self._rows = {part: mask.nonzero().squeeze(1) for part, mask in masks.items()}
        if metric == "auroc":
            self._check_two_classes()
        self._inputs = arguments(self.graph, edge_index=edge_index)

    @classmethod
    def from_graph(
        cls, graph: Graph, *, per_class: int = 20, val_per_class: int = 30, seed: int = 0, **options: Any
    ) -> Self:
        """Makes a task whose splits are drawn at random: so many nodes a class, the rest for the test.

        Args:
            graph: With `x` and `y`; its masks, if any, are not used.
            per_class: Training nodes of every class.
            val_per_class: Validation nodes of every class.
            seed: Which draw.
            **options: As the class takes them.

        Raises:
            DataError: The graph has no labels, or a class has too few nodes.
        """
        known = graph.y >= 0 if isinstance(graph.y, Tensor) else None
        checks.check_labels(graph.y, graph.num_nodes, classes=options.get("classes"), used=known)
        assert graph.y is not None
        masks = splits.per_class(graph.y, train=per_class, val=val_per_class, seed=seed)
        moved = {part: mask.to(graph.device) for part, mask in masks.items()}
        return cls(dataclasses.replace(graph, masks=moved), **options)

    @classmethod
    def from_pyg(
        cls, data: Any, *, edge_index: bool = True, per_class: int = 20, seed: int = 0, **options: Any
    ) -> Self:
        """Makes a task from a PyTorch Geometric `Data`, by default for a model(x, edge_index).

        Args:
            data: With `x`, `edge_index`, `y`, and masks; without masks, splits are drawn as `from_graph`
                does.
            edge_index: Whether the model gets `edge_index` and dense features rather than a `Graph`.
            per_class: Training nodes of every class, where splits are drawn.
            seed: Which draw.
            **options: As the class takes them.
        """
        graph = Graph.from_pyg(data)
        if graph.y is not None and graph.y.dim() == 2 and graph.y.shape[1] == 1:
            graph = dataclasses.replace(graph, y=graph.y[:, 0])
        if any(part in graph.masks for part in _SPLITS):
            return cls(graph, edge_index=edge_index, **options)
        return cls.from_graph(graph, per_class=per_class, seed=seed, edge_index=edge_index, **options)

    def steps(self) -> int:
        """Returns 1: a step sees the whole graph."""
        return 1

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Tensor]:
        """Yields the nodes of a split, (n,) int64, once; `seed` and `epoch` change nothing."""
        del seed, epoch
        yield self._rows[split]

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        """Returns the mean cross entropy over the nodes of `batch`."""
        return F.cross_entropy(self._predict(model)[batch], self._y[batch])

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns accuracy and macro-F1 over a split; for "auroc", first that and the average precision.

        Raises:
            DataError: The split has no nodes.
            ModelError: The model's output is not (N, classes).
        """
        rows = self._rows[split]
        if not len(rows):
            raise DataError(f"{self.name}: the {split} split has no nodes; give its mask at least one")
        with metrics.evaluating(model):
            logits, y = self._predict(model)[rows], self._y[rows]
        found = metrics.classification(logits, y)
        if self.metric == "auroc":
            return metrics.ranking(logits[:, 1] - logits[:, 0], y) | found
        return found

    def example(self) -> tuple[Any, ...]:
        """Returns (x, graph), or (x, edge_index) where the task was made so."""
        return self._inputs

    def examples_per_step(self) -> float:
        """Returns 1.0: a step is one call on the whole graph."""
        return 1.0

    def dimensions(self) -> dict[str, int]:
        """Returns `in_features` and `out_features`."""
        assert self.graph.x is not None
        return {"in_features": self.graph.x.shape[1], "out_features": self.classes}

    def graphs(self) -> tuple[Graph, ...]:
        """Returns the one graph."""
        return (self.graph,)

    def _on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool) -> Self:
        """Returns this task with other edges."""
        other = copy.copy(self)
        other.graph = dataclasses.replace(self.graph, adjacency=graphs[0].adjacency, edge_data=graphs[0].edge_data)
        other._inputs = arguments(other.graph, edge_index=isinstance(self._inputs[1], Tensor) and not as_graph)
        return other

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its tensors on `device`."""
        moved = copy.copy(self)
        moved.graph = self.graph.to(device)
        moved._y = self._y.to(device)
        moved._rows = {part: rows.to(device) for part, rows in self._rows.items()}
        moved._inputs = arguments(moved.graph, edge_index=isinstance(self._inputs[1], Tensor))
        return moved

    def _predict(self, model: nn.Module) -> Tensor:
        return checks.check_output(
            model(*self._inputs),
            (self.graph.num_nodes, self.classes),
            rows="node",
            columns="class",
            hint=f"build the model with out_features={self.classes} and return every node",
        )

    def _check_two_classes(self) -> None:
        if self.classes != 2:
            raise DataError(f"{self.name}: auroc needs 2 classes, found {self.classes}; take metric='accuracy'")
        for part, rows in self._rows.items():
            if len(rows) and len(torch.unique(self._y[rows])) < 2:
                raise DataError(f"{self.name}: the {part} split has one class only; auroc needs nodes of both")


def arguments(graph: Graph, *, edge_index: bool) -> tuple[Any, ...]:
    """Returns what a model is called with: (x, graph), or as PyTorch Geometric's (x, edge_index, weights)."""
    if not edge_index:
        return graph.x, graph
    x = graph.x.to_dense() if isinstance(graph.x, CSR) else graph.x
    return (x, graph.to_edge_index()) if graph.weights is None else (x, graph.to_edge_index(), graph.weights)


def _column(mask: Tensor, split: int, name: str) -> Tensor:
    if mask.dim() == 1:
        return mask
    if mask.dim() != 2 or not 0 <= split < mask.shape[1]:
        raise DataError(f"{name} mask: split {split} of shape {tuple(mask.shape)}; expected 0..{mask.shape[-1] - 1}")
    return mask[:, split]
