"""The networks and tasks on which every registered method must keep its promises: small, generated, quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.graph import csbm
from gossamer.models import build
from gossamer.tasks import ImageClassification, Images, NodeClassification, Task
from gossamer.tasks.task import Split


class SequenceTask(Task):
    """Which of four classes a short sequence of vectors belongs to: the sign pattern of its mean."""

    name = "sequence"
    metric = "accuracy"

    def __init__(self, count: int = 96, length: int = 5, width: int = 32) -> None:
        generator = torch.Generator().manual_seed(5)
        self.x = torch.randn(count, length, width, generator=generator)
        mean = self.x.mean(dim=1)
        self.y = (mean[:, 0] > 0).long() * 2 + (mean[:, 1] > 0).long()
        third = count // 3
        self.parts = {
            "train": slice(0, third),
            "val": slice(third, 2 * third),
            "test": slice(2 * third, count),
        }

    def steps(self) -> int:
        return 2

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        x, y = self.x[self.parts[split]], self.y[self.parts[split]]
        order = torch.arange(len(y))
        if split == "train":
            order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1000 * seed + epoch))
        for part in order.chunk(self.steps()):
            yield x[part], y[part]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        x, y = batch
        return nn.functional.cross_entropy(model(x), y)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        was_training = model.training
        model.eval()
        with torch.no_grad():
            hits = (model(self.x[self.parts[split]]).argmax(-1) == self.y[self.parts[split]]).float().mean()
        model.train(was_training)
        return {"accuracy": float(hits)}

    def example(self) -> tuple[Any, ...]:
        return (self.x[self.parts["test"]],)

    def examples_per_step(self) -> float:
        return 0.5

    def to(self, device: torch.device | str) -> SequenceTask:
        self.x, self.y = self.x.to(device), self.y.to(device)
        return self


class TransformerBlock(nn.Module):
    """One encoder layer and a classifier on the mean of the sequence."""

    def __init__(self, width: int = 32, classes: int = 4) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=64, dropout=0.1, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(dim=1))


@dataclass(frozen=True)
class Network:
    """A network and what it must do, made afresh at each call."""

    name: str
    model: Callable[[], nn.Module]
    task: Callable[[], Task]
    graph: bool = False  # whether the task has one


def _images() -> Task:
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(120) % 4
    x = torch.randn(120, 1, 8, 8, generator=generator)
    x[torch.arange(120), 0, y, y] += 3.0
    return ImageClassification(Images(x[:84], y[:84], x[84:], y[84:], 4), batch_size=38, example_batch=4)


def _graph() -> Task:
    return NodeClassification.from_graph(csbm(120, 3, 32, seed=0), per_class=10, val_per_class=10)


NETWORKS = [
    Network(
        "mlp",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 4)),
        _images,
    ),
    Network(
        "cnn",
        lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 9, 4),
        ),
        _images,
    ),
    Network("gcn", lambda: build("gcn", in_features=32, hidden=32, out_features=3), _graph, graph=True),
    Network("transformer", TransformerBlock, SequenceTask),
]
