"""Vectors of nodes from walks in time, and the tasks of a network that gets them.

Talati et al., "A deep dive into understanding the random walk-based temporal graph learning", IISWC 2021: walks that
respect time are the sentences of skip-gram, and a small feed-forward network learns on the node vectors.
"""

from __future__ import annotations

import copy
import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from gossamer.graph import Bias, SkipGram, TemporalWalker, Walker, embed_walks, from_every_node
from gossamer.kernels.random import stream_key
from gossamer.settings import Settings, bounded
from gossamer.tasks import checks, metrics
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split, Task
from gossamer.tasks.temporal.events import Events

_TOGETHER = 16  # batches whose inputs are gathered at once: of a small batch, a call takes longer than its work
_ROWS = 8192  # at a time when nothing is learned, so that hidden layers stay in cache


@dataclass(frozen=True, kw_only=True)
class WalkVectors(Settings):
    """How events become a vector for each node; the defaults are those of the paper's code for links."""

    per_node: int = bounded(10, ge=1)  # walks from every node
    steps: int = bounded(5, ge=1)  # the most edges of a walk
    bias: Literal["late", "soon", "none"] = "late"  # which of the later edges a walk prefers
    in_time: bool = True  # whether each edge of a walk is later than the one before; otherwise times do not count
    both_ways: bool = False  # whether walks go against the direction of edges too
    dimensions: int = bounded(8, ge=1, le=4096)
    window: int = bounded(10, ge=1)
    negatives: int = bounded(5, ge=1)
    epochs: int = bounded(1, ge=1)  # of skip-gram
    learning_rate: float = bounded(0.025, gt=0.0)
    hogwild: bool = False  # whether skip-gram uses all threads at once: faster, and no two runs agree

    def skip_gram(self) -> SkipGram:
        """Returns the settings of skip-gram; its learning rate falls to 1e-4 of where it begins."""
        return SkipGram(
            dimensions=self.dimensions,
            window=self.window,
            negatives=self.negatives,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            final_rate=1e-4 * self.learning_rate,
        )

    def embed(self, events: Events, *, seed: int = 0) -> tuple[Tensor, dict[str, float]]:
        """Walks over events and learns vectors.

        Args:
            events: At least one node; a node without events has a random vector.
            seed: Of walks and of skip-gram.

        Returns:
            Vectors (nodes, dimensions) float32, and the seconds of the stages "walk" and "embed".
        """
        begin = time.perf_counter()
        graph = events.graph(both_ways=self.both_ways)
        walker = TemporalWalker(graph, bias=Bias(self.bias)) if self.in_time else Walker(graph)
        walks = walker.walk(from_every_node(graph, self.per_node), self.steps, seed=stream_key(seed, 1))
        walked = time.perf_counter()
        found = embed_walks(walks, events.nodes, self.skip_gram(), hogwild=self.hogwild, seed=stream_key(seed, 2))
        return found.vectors, {"walk": walked - begin, "embed": time.perf_counter() - walked}


class Rows(NamedTuple):
    """A batch: inputs (B, F) and their truth (B,)."""

    x: Tensor
    y: Tensor


class OnVectors(Task):
    """A task whose model gets, in each row, the vectors of the row's nodes side by side: `model(x)`, x (B, k · D).

    Args:
        name: What reports call the task.
        vectors: (N, D).
        stages: Seconds that making them took, by stage.
        batch_size: Rows a training step, at least 1.
        outputs: Columns of the model's output.
    """

    batch_size: int

    def __init__(self, name: str, vectors: Tensor, stages: dict[str, float], *, batch_size: int, outputs: int) -> None:
        checks.check_setting("batch_size", batch_size, ge=1)
        self.name, self.batch_size = name, batch_size
        self.vectors, self.outputs = vectors, outputs
        self._stages = stages
        self._device = vectors.device

    @abstractmethod
    def _rows(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns the nodes of each row of a split, (R, k), and the rows' truth, (R,)."""

    @abstractmethod
    def _train_rows(self) -> int:
        """Returns how many rows an epoch trains on."""

    @abstractmethod
    def _scores(self, split: Split, output: Tensor, y: Tensor) -> dict[str, float]:
        """Returns metrics of the outputs of a split, (R, outputs)."""

    def steps(self) -> int:
        """Returns how many batches the training rows make."""
        return math.ceil(self._train_rows() / self.batch_size)

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Rows]:
        """Yields rows of a split; (seed, epoch) decide the order of the training rows, and what is drawn."""
        nodes, y = self._rows(split, seed, epoch)
        size = _ROWS
        if split == "train":
            order, size = torch.randperm(len(y), generator=generator(seed, epoch, 1)), self.batch_size
            nodes, y = nodes[order], y[order]
        many = _TOGETHER * size
        for some, truth in zip(torch.split(nodes, many), torch.split(y.to(self._device), many), strict=True):
            yield from map(Rows, torch.split(self._inputs(some), size), torch.split(truth, size))

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the metrics over a split, the headline first.

        Raises:
            ModelError: The model's output is not one row an input.
        """
        outputs, truth = [], []
        with metrics.evaluating(model):
            for batch in self.batches(split):
                outputs.append(self._predict(model, batch.x))
                truth.append(batch.y)
        return self._scores(split, torch.cat(outputs), torch.cat(truth))

    def example(self) -> tuple[Any, ...]:
        """Returns (x,): a batch of the first rows of the test."""
        nodes, _ = self._rows("test", 0, 0)
        return (self._inputs(nodes[: self.batch_size]),)

    def examples_per_step(self) -> float:
        """Returns how many examples the rows of an average training step make."""
        return self._train_rows() / self.steps() / len(self._rows("test", 0, 0)[1][: self.batch_size])

    def dimensions(self) -> dict[str, int]:
        """Returns `in_features` and `out_features`."""
        return {"in_features": self.example()[0].shape[1], "out_features": self.outputs}

    def stages(self) -> dict[str, float]:
        """Returns the seconds of "walk" and "embed"."""
        return dict(self._stages)

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its vectors on `device`; rows are drawn on the CPU."""
        moved = copy.copy(self)
        moved.vectors, moved._device = self.vectors.to(device), torch.device(device)
        return moved

    def _inputs(self, nodes: Tensor) -> Tensor:
        """Returns the vectors of each row's nodes side by side, (R, k · D)."""
        return self.vectors.index_select(0, nodes.flatten().to(self._device)).view(len(nodes), -1)

    def _predict(self, model: nn.Module, x: Tensor) -> Tensor:
        return checks.check_output(
            model(x),
            (x.shape[0], self.outputs),
            rows="input",
            columns="class" if self.outputs > 1 else "score",
            hint=f"build the model with in_features={x.shape[1]} and out_features={self.outputs}",
        )
