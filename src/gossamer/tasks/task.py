"""What a network must do: data, loss and a headline metric, whatever the model is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.graph import Graph

Split = Literal["train", "val", "test"]


class Task(ABC):
    """Data + loss + headline metric. Splits are "train", "val" and "test"."""

    name: str
    metric: str
    higher_is_better: bool = True
    whole: Task | None = None  # of a task with other edges (`on_graphs`): the one it was made from
    batch_size: int | None = None  # the most examples a training step takes; None where each takes all there are

    @abstractmethod
    def steps(self) -> int:
        """Returns the number of training steps an epoch, at least 1."""

    @abstractmethod
    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        """Yields the batches of a split; the order of "train" depends on (seed, epoch) and nothing else."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns the scalar training loss of a batch.

        Raises:
            ModelError: The model's output does not match the task (shapes are named).
        """

    def learn(self, model: nn.Module, batch: Any) -> Tensor | None:
        """Returns the loss of a batch without gradient, its gradients left in `grad` of every parameter of `model`.

        None where there is no shorter way to them than automatic differentiation of `loss`; nothing is then left.
        """
        del model, batch
        return None

    @abstractmethod
    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns metric name to value, the headline metric first.

        Runs in eval mode without gradients and leaves the model's mode as it was.
        """

    @abstractmethod
    def example(self) -> tuple[Any, ...]:
        """Returns positional arguments of the model, as one prediction call gets them."""

    @abstractmethod
    def examples_per_step(self) -> float:
        """Returns how many `example()`-sized inputs one training step processes on average."""

    def with_batch_size(self, batch_size: int) -> Self:
        """Returns this task with training steps of at most so many examples; all else is the same.

        Raises:
            DataError: The size of its steps cannot be chosen, or it is below 1.
        """
        if self.batch_size is None:
            raise DataError(f"{self.name}: the size of its training steps cannot be changed; take a task with batches")
        if batch_size < 1:
            raise DataError(f"{self.name}: batch_size is {batch_size}; expected at least 1")
        other = copy.copy(self)
        other.batch_size = batch_size
        return other

    def dimensions(self) -> dict[str, int]:
        """Returns the sizes that a network for this task needs, as keywords of the zoo's constructors.

        None where the task does not say.
        """
        return {}

    def graphs(self) -> tuple[Graph, ...]:
        """Returns the graphs along whose edges the network passes messages; () where there are none.

        What is predicted (labels, held-out links) is not among their edges.
        """
        return ()

    def on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool = False) -> Self:
        """Returns this task with other edges: the same nodes, labels and splits, messages along the edges given.

        Args:
            graphs: As many as `graphs()` returned, of as many nodes each; only their edges, with weights and data,
                are looked at.
            as_graph: Whether the model is called with a `Graph` even where this task calls it with an edge_index.

        Returns:
            A task whose `whole` is the one that all edges were taken from.

        Raises:
            DataError: The task has no graph, or these do not fit it.
        """
        own = self.graphs()
        if not own:
            raise DataError(f"{self.name}: the task has no graph whose edges could change; take a task on a graph")
        found, wanted = ([graph.num_nodes for graph in some] for some in (graphs, own))
        if found != wanted:
            raise DataError(
                f"{self.name}: found {len(found)} graphs of {sum(found)} nodes, expected {len(wanted)} of "
                f"{sum(wanted)}, each with the nodes of the task's own; remove edges and no nodes"
            )
        other = self._on_graphs(graphs, as_graph=as_graph)
        other.whole = self.whole or self
        return other

    def _on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool) -> Self:
        """Does what `on_graphs` says, for graphs that fit; a task that has graphs defines it."""
        raise TypeError(f"{type(self).__name__} returns graphs: define _on_graphs()")

    def stages(self) -> dict[str, float]:
        """Returns what making the task took by stage, in seconds; nothing where there are no stages."""
        return {}

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its tensors on `device`."""
