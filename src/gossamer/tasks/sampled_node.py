"""Classification of nodes by mini-batches: every step sees some training nodes and a sample of what surrounds them.

Hamilton, Ying & Leskovec, "Inductive representation learning on large graphs", NeurIPS 2017, algorithm 2. Training
takes memory in proportion to the sample and not to the graph; evaluation runs on the whole graph, so that numbers
compare with those of full-batch training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.graph import Graph, NeighborSampler, Pick, Sample
from gossamer.kernels.random import stream_key
from gossamer.tasks import checks
from gossamer.tasks.node import NodeClassification, arguments
from gossamer.tasks.task import Split, Task


class SampledNodeClassification(Task):
    """A node classification whose training steps see samples; everything else is that of the task it wraps.

    Args:
        full: The task on the whole graph, on the CPU.
        fanouts: For every layer of the network how many edges a node draws at most, -1 for all.
        batch_size: Seeds a step, at least 1.
        pick: How edges are chosen; by default each is equally likely.

    Raises:
        SettingError: `batch_size` is below 1, or the fan-outs make no sense.
    """

    batch_size: int

    def __init__(
        self, full: NodeClassification, fanouts: Sequence[int], *, batch_size: int = 512, pick: Pick | None = None
    ) -> None:
        checks.check_setting("batch_size", batch_size, ge=1)
        self.full = full
        self.name, self.metric, self.higher_is_better = full.name, full.metric, full.higher_is_better
        self.batch_size = batch_size
        self._fanouts, self._pick = tuple(fanouts), pick
        self._sampler = NeighborSampler(full.graph, fanouts, pick=pick)
        self._rows = {split: next(full.batches(split)) for split in ("train", "val", "test")}
        self._edge_index = isinstance(full.example()[1], Tensor)
        self._device = torch.device("cpu")
        self._share = self._first_share()

    def with_batch_size(self, batch_size: int) -> Self:
        """Returns this task with that many seeds a step at most."""
        other = super().with_batch_size(batch_size)
        other._share = other._first_share()
        return other

    def steps(self) -> int:
        """Returns how many batches the training nodes make."""
        return math.ceil(len(self._rows["train"]) / self.batch_size)

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Sample]:
        """Yields samples around the nodes of a split; (seed, epoch) decide their order and what is drawn."""
        yield from self._sampler.batches(
            self._rows[split], self.batch_size, shuffle=split == "train", seed=stream_key(seed, epoch)
        )

    def loss(self, model: nn.Module, batch: Sample) -> Tensor:
        """Returns the mean cross entropy over the seeds of a sample."""
        graph = batch.graph.to(self._device)
        logits = checks.check_output(
            model(*arguments(graph, edge_index=self._edge_index)),
            (graph.num_nodes, self.full.classes),
            rows="node",
            columns="class",
            hint=f"build the model with out_features={self.full.classes} and return every node",
        )
        assert graph.y is not None
        return F.cross_entropy(logits[: batch.num_seeds], graph.y[: batch.num_seeds].long())

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the metrics of the wrapped task, on the whole graph."""
        return self.full.evaluate(model, split)

    def example(self) -> tuple[Any, ...]:
        """Returns the whole graph, as prediction sees it."""
        return self.full.example()

    def examples_per_step(self) -> float:
        """Returns the share of the graph's nodes in a sample, as the first one has it."""
        return self._share

    def _first_share(self) -> float:
        """Returns the share of the graph's nodes in the first sample."""
        return next(self.batches("train")).graph.num_nodes / self.full.graph.num_nodes

    def dimensions(self) -> dict[str, int]:
        """Returns `in_features` and `out_features`."""
        return self.full.dimensions()

    def graphs(self) -> tuple[Graph, ...]:
        """Returns the whole graph."""
        return self.full.graphs()

    def _on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool) -> Self:
        """Returns this task with other edges, to sample among and to evaluate on."""
        other = copy.copy(self)
        other.full = self.full.on_graphs(graphs, as_graph=as_graph)
        other._sampler = NeighborSampler(other.full.graph.to("cpu"), self._fanouts, pick=self._pick)
        other._edge_index = self._edge_index and not as_graph
        return other

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with the wrapped one on `device`; samples are drawn on the CPU and then moved."""
        moved = copy.copy(self)
        moved.full, moved._device = self.full.to(device), torch.device(device)
        return moved
