"""A small run for the tests of the loop: mini-batches, dropout, hooks that have a state."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.tasks.task import Split, Task
from gossamer.train import SGD, Cosine, History, Training, fit

ROOT = Path(__file__).parents[2]
TRAINING = Training(
    epochs=4,
    optimizer=SGD(learning_rate=0.2, nesterov=True),
    schedule=Cosine(),
    clip_norm=1.0,
    checkpoint_minutes=0.0,
)


class Toy(Task):
    """Two noisy classes in six dimensions, in shuffled mini-batches; the training inputs are jittered."""

    name = "toy"
    metric = "accuracy"
    higher_is_better = True

    def __init__(self, *, steps: int = 3) -> None:
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(24, 6, generator=generator)
        self.y = (self.x[:, 0] + 0.5 * torch.randn(24, generator=generator) > 0).long()
        self.device = torch.device("cpu")
        self._steps = steps

    def steps(self) -> int:
        return self._steps

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(16, generator=torch.Generator().manual_seed(1000 * seed + epoch))
        rows = {"train": order, "val": torch.arange(16, 20), "test": torch.arange(20, 24)}[split]
        for part in rows.chunk(self._steps if split == "train" else 1):
            x = self.x[part]
            # Drawn from the global generator, between two steps: a resumed run must draw the same.
            yield (x + 0.01 * torch.randn_like(x) if split == "train" else x), self.y[part]

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        [(x, y)] = list(self.batches(split))
        was, _ = model.training, model.eval()
        with torch.no_grad():
            output = model(x)
        model.train(was)
        return {
            "accuracy": (output.argmax(1) == y).float().mean().item(),
            "loss": F.cross_entropy(output, y).item(),
        }

    def example(self) -> tuple[Any, ...]:
        return (self.x[:1],)

    def examples_per_step(self) -> float:
        return 16 / self._steps

    def to(self, device: torch.device | str) -> Self:
        self.device = torch.device(device)
        return self


def network(seed: int = 0) -> nn.Sequential:
    """Returns a network with dropout and running batch statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


class Masking:
    """Removes a weight after every step and settles when `keep` are left; all hooks are used, and counted."""

    batch_size: int | None = None
    rate_factor: float = 1.0

    def __init__(self, model: nn.Sequential, keep: int = 40) -> None:
        self.weight: nn.Parameter = model[0].weight  # type: ignore[assignment]
        self.mask = torch.ones_like(self.weight, dtype=torch.bool)
        self.keep = keep
        self.calls: dict[int, str] = {}
        self.gradient_norm = 0.0

    @property
    def settled(self) -> bool:
        return int(self.mask.sum()) <= self.keep

    def after_loss(self, loss: Tensor) -> None:
        assert not loss.requires_grad

    def penalty(self) -> Tensor | None:
        return 1e-3 * self.weight.abs().sum()

    def after_backward(self) -> None:
        assert self.weight.grad is not None
        self.gradient_norm = float(self.weight.grad.norm())
        self.weight.grad *= self.mask

    def after_step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        assert optimizer is not None
        if not self.settled:
            score = self.weight.detach().abs().masked_fill(~self.mask, float("inf"))
            self.mask.view(-1)[score.argmin()] = False
        with torch.no_grad():
            self.weight *= self.mask
        if "momentum_buffer" in optimizer.state[self.weight]:
            optimizer.state[self.weight]["momentum_buffer"] *= self.mask

    def after_epoch(self, epoch: int) -> None:
        self.calls[epoch] = f"kept {int(self.mask.sum())}"

    def training_cost(self) -> float:
        return 3.0 * self.mask.float().mean().item()

    def state_dict(self) -> dict[str, Any]:
        return {"mask": self.mask, "calls": self.calls, "norms": (self.gradient_norm,)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mask = state["mask"].clone()
        self.calls = dict(state["calls"])
        (self.gradient_norm,) = state["norms"]


def trained(
    task: Toy, training: Training, checkpoint: Path | None = None
) -> tuple[dict[str, Tensor], Masking, History]:
    model = network()
    hooks = Masking(model)
    history = fit(model, task, training, hooks=hooks, seed=3, checkpoint=checkpoint, progress=False)
    return model.state_dict(), hooks, history


def assert_same(straight: tuple[Any, Masking, History], resumed: tuple[Any, Masking, History]) -> None:
    for name, value in straight[0].items():
        assert torch.equal(value, resumed[0][name]), name
    assert torch.equal(straight[1].mask, resumed[1].mask)
    assert straight[1].calls == resumed[1].calls
    assert straight[1].gradient_norm == resumed[1].gradient_norm
    parts = ("epochs", "train_loss", "validation", "best_epoch", "stopped_early", "steps", "forward_passes")
    for part in parts:
        assert getattr(straight[2], part) == getattr(resumed[2], part), part


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Waits until a condition holds, while the process that is to bring it about lives."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
