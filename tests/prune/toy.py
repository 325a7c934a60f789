"""A small task and a plain training loop, as a user would write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.compression.method import Compression
from gossamer.tasks.task import Split, Task


class Regression(Task):
    """Fits a random linear map of 12 numbers to 4, in `count` mini-batches an epoch."""

    name = "regression"
    metric = "r2"

    def __init__(self, count: int = 3) -> None:
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(count * 8, 12, generator=generator)
        self.y = self.x @ torch.randn(12, 4, generator=generator)
        self.count = count

    def steps(self) -> int:
        return self.count

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(1000 * seed + epoch))
        for part in order.chunk(self.count):
            yield self.x[part], self.y[part]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        with torch.no_grad():
            return {"r2": 1.0 - float(((model(self.x) - self.y) ** 2).mean() / self.y.var())}

    def example(self) -> tuple[Any, ...]:
        return (self.x[:8],)

    def examples_per_step(self) -> float:
        return 1.0

    def to(self, device: torch.device | str) -> Regression:
        raise NotImplementedError


def network(seed: int = 0, *, hidden: int = 20) -> nn.Sequential:
    """Makes 12 → hidden → 4."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(12, hidden), nn.ReLU(), nn.Linear(hidden, 4))


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


def epoch_of(run: Compression, task: Task, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    """One epoch of the loop that the contract describes."""
    for batch in task.batches("train", epoch=epoch):
        optimizer.zero_grad()
        loss = task.loss(run.model, batch)
        run.after_loss(loss.detach())
        penalty = run.penalty()
        (loss if penalty is None else loss + penalty).backward()
        run.after_backward()
        optimizer.step()
        run.after_step(optimizer)
    run.after_epoch(epoch)


def train(run: Compression, task: Task, optimizer: torch.optim.Optimizer | None = None) -> nn.Module:
    """All epochs, then `finish`."""
    optimizer = sgd(run.model) if optimizer is None else optimizer
    for epoch in range(run.epochs):
        epoch_of(run, task, optimizer, epoch)
    return run.finish()


def sparsity(model: nn.Module) -> float:
    """Fraction of zeros among the weights."""
    weights = [value for name, value in model.named_parameters() if name.endswith("weight")]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / sum(weight.numel() for weight in weights)
