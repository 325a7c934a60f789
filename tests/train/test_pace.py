"""Hooks may ask for other batches and learning rates from the next epoch on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.compression import Compression
from gossamer.errors import DataError
from gossamer.graph import csbm
from gossamer.models import for_task
from gossamer.tasks import ImageClassification, Images, NodeClassification
from gossamer.train import SGD, Linear, Training, fit

TRAINING = Training(epochs=4, optimizer=SGD(learning_rate=0.1, momentum=0.9), schedule=Linear(), keep_best=False)


class Growing(Compression):
    """Doubles the batch in every epoch, and the learning rate with it; notes what it saw."""

    def __init__(self, model: nn.Module, size: int = 4) -> None:
        super().__init__(model, epochs=4)
        self._size = size
        self.seen: list[tuple[int, float]] = []  # examples and learning rate of each step

    def after_step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        assert optimizer is not None
        self.seen[-1] = (self.seen[-1][0], optimizer.param_groups[0]["lr"])

    def after_epoch(self, epoch: int) -> None:
        self.batch_size, self.rate_factor = self._size * 2 ** (epoch + 1), 2.0 ** (epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "rate_factor": self.rate_factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batch_size, self.rate_factor = state["batch_size"], state["rate_factor"]


class Counting(ImageClassification):
    """Shows hooks how many examples each step has, and dies at a step."""

    hooks: Growing
    left: int | None = None

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        if model.training:
            if Counting.left == 0:
                raise KeyboardInterrupt
            if Counting.left is not None:
                Counting.left -= 1
            Counting.hooks.seen.append((len(batch[1]), 0.0))
        return super().loss(model, batch)


def run(checkpoint: Path | None = None) -> tuple[Growing, nn.Module]:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(36, 1, 3, 3, generator=draw), torch.arange(36) % 3
    task = Counting(Images(x, y, x, y, 3), batch_size=4, val=1 / 9)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 3))
    Counting.hooks = Growing(model)
    fit(
        model,
        task,
        TRAINING.replace(checkpoint_minutes=0.0),
        hooks=Counting.hooks,
        checkpoint=checkpoint,
        progress=False,
    )
    return Counting.hooks, model


def test_batches_and_rates_are_those_asked_for_from_the_next_epoch_on() -> None:
    hooks, _ = run()
    sizes, rates = zip(*hooks.seen, strict=True)
    assert sizes == (*[4] * 8, *[8] * 4, *[16] * 2, 32)
    # The schedule is linear in epochs, whatever their steps; factors are 1, 2, 4 and 8.
    moments = [*(step / 8 for step in range(8)), *(1 + step / 4 for step in range(4)), 2.0, 2.5, 3.0]
    expected = [0.1 * 2 ** int(moment) * TRAINING.schedule.factor(moment, 4) for moment in moments]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("stop", [1, 8, 10, 12, 13, 14])
def test_a_run_cut_off_anywhere_goes_on_with_the_same_batches(stop: int, tmp_path: Path) -> None:
    whole, expected = run()
    Counting.left = stop
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "state")
    Counting.left = None
    rest, model = run(tmp_path / "state")
    assert rest.seen == whole.seen[stop:]
    for name, value in expected.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_steps_that_take_a_whole_graph_cannot_grow() -> None:
    task = NodeClassification.from_graph(csbm(60, 3, 8, seed=0), per_class=5, val_per_class=5)
    model = for_task("gcn", task)
    with pytest.raises(DataError, match="cannot be changed"):
        fit(model, task, Training(epochs=2), hooks=_Eager(model, epochs=2), progress=False)


class _Eager(Compression):
    batch_size = 8
