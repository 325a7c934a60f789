from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.errors import ModelError, TrainingError
from gossamer.tasks.task import Split
from gossamer.train import SGD, Adam, Cosine, Training, fit
from tests.train.toy import TRAINING, Masking, Toy, network


class Scripted(Toy):
    """Validates to the metrics it is told to; counts what is asked of it."""

    def __init__(self, values: list[float], losses: list[float] | None = None, *, higher: bool = True) -> None:
        super().__init__()
        self.values, self.losses, self.higher_is_better = values, losses, higher
        self.weights: list[dict[str, Tensor]] = []  # at each validation

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        number = len(self.weights)
        self.weights.append({name: value.clone() for name, value in model.state_dict().items()})
        extra = {} if self.losses is None else {"loss": self.losses[number]}
        return {"accuracy": self.values[number], **extra}


class SettlesLate:
    """Hooks that settle after the epoch with this number."""

    batch_size: int | None = None
    rate_factor: float = 1.0

    def __init__(self, epoch: int) -> None:
        self.last, self.settled = epoch, False

    def after_loss(self, loss: torch.Tensor) -> None: ...
    def penalty(self) -> None: ...
    def after_backward(self) -> None: ...
    def after_step(self, optimizer: torch.optim.Optimizer | None = None) -> None: ...

    def after_epoch(self, epoch: int) -> None:
        self.settled = epoch >= self.last

    def training_cost(self) -> float:
        return 1.5

    def state_dict(self) -> dict[str, Any]:
        return {"settled": self.settled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.settled = state["settled"]


def test_a_loop_of_ones_own_with_the_hooks_gives_the_same() -> None:
    mine = network()
    hooks, task = Masking(mine), Toy()
    optimizer = torch.optim.SGD(mine.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4 * 3)
    torch.manual_seed(3)
    for epoch in range(4):
        mine.train()
        for batch in task.batches("train", seed=3, epoch=epoch):
            optimizer.zero_grad()
            (task.loss(mine, batch) + hooks.penalty()).backward()
            hooks.after_backward()
            nn.utils.clip_grad_norm_(mine.parameters(), 1.0)
            optimizer.step()
            hooks.after_step(optimizer)
            schedule.step()
        hooks.after_epoch(epoch)
        task.evaluate(mine, "val")

    theirs = network()
    others = Masking(theirs)
    fit(theirs, Toy(), TRAINING.replace(keep_best=False), hooks=others, seed=3)
    assert others.calls == hooks.calls
    assert torch.equal(others.mask, hooks.mask)
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(b, a, msg=name)  # PyTorch's fused step rounds differently


def test_the_result_follows_from_the_seed_alone() -> None:
    def run(seed: int) -> Tensor:
        model = network()
        fit(model, Toy(), Training(epochs=2), seed=seed)
        return model[0].weight

    first = run(1)
    torch.rand(5)
    assert torch.equal(first, run(1))
    assert not torch.equal(first, run(2))


def test_the_global_generators_are_given_back() -> None:
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    fit(network(), Toy(), Training(epochs=1), seed=5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_the_history_of_a_plain_run() -> None:
    history = fit(network(), Toy(), Training(epochs=5, validate_every=2))
    assert history.epochs == [0, 1, 2, 3, 4]
    assert [value is None for value in history.validation["accuracy"]] == [True, False, True, False, False]
    assert len(history.train_loss) == 5
    assert (history.steps, history.forward_passes) == (15, 45.0)
    assert not history.stopped_early
    assert history.resumed_from is None
    assert history.seconds > 0
    assert history.to_json()["epoch"] == [0, 1, 2, 3, 4]


def test_the_mean_loss_is_that_of_the_steps_with_the_penalty() -> None:
    class Constant(Scripted):
        def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
            yield from [1.0, 2.0, 6.0]

        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            return 0 * model(self.x).sum() + batch

    class Penalty(SettlesLate):
        def penalty(self) -> Tensor:  # type: ignore[override]
            return torch.tensor(0.5)

    history = fit(network(), Constant([0.0]), Training(epochs=1), hooks=Penalty(0))  # type: ignore[arg-type]
    assert history.train_loss == [3.5]
    assert history.forward_passes == 4.5


def test_no_epochs_change_nothing() -> None:
    model = network()
    history = fit(model, Toy(), Training(epochs=0))
    assert (history.epochs, history.best_epoch, history.steps) == ([], None, 0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), network().parameters(), strict=True))


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    losses=st.none() | st.lists(st.integers(0, 2), min_size=5, max_size=5),
    higher=st.booleans(),
    settled=st.integers(0, 5),
)
def test_the_best_epoch_by_brute_force(values: list[int], losses: list[int] | None, higher: bool, settled: int) -> None:
    task, model = Scripted([*map(float, values)], losses and [*map(float, losses)], higher=higher), network()
    history = fit(model, task, Training(epochs=len(values)), hooks=SettlesLate(settled))
    allowed = range(settled, len(values))
    best = min(
        allowed,
        key=lambda epoch: (values[epoch] * (-1 if higher else 1), losses[epoch] if losses else 0, epoch),
        default=None,
    )
    assert history.best_epoch == best
    expected = task.weights[-1 if best is None else best]
    assert all(torch.equal(expected[name], value) for name, value in model.state_dict().items())


def test_the_hooks_go_back_with_the_best_weights() -> None:
    model = network()
    hooks = Masking(model, keep=60)
    task = Scripted([0.0, 0.0, 1.0, 0.5])  # on 48 weights: settled from the start, and no more are removed
    fit(model, task, TRAINING, hooks=hooks)
    assert list(hooks.calls) == [0, 1, 2]


def test_without_keeping_the_best_the_last_weights_stay() -> None:
    task, model = Scripted([1.0, 0.0]), network()
    history = fit(model, task, Training(epochs=2, keep_best=False))
    assert history.best_epoch == 0
    assert all(torch.equal(task.weights[-1][name], value) for name, value in model.state_dict().items())


def test_patience_counts_epochs_without_a_better_one() -> None:
    history = fit(network(), Scripted([0.1, 0.3, 0.3, 0.2, 0.9]), Training(epochs=5, patience=2))
    assert history.stopped_early
    assert history.epochs == [0, 1, 2, 3]
    assert history.best_epoch == 1


def test_patience_ends_no_run_between_two_validations() -> None:
    training = Training(epochs=9, patience=1, validate_every=3)
    history = fit(network(), Scripted([0.1, 0.5, 0.4]), training)
    assert history.epochs == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert history.best_epoch == 5
    assert not history.stopped_early


def test_patience_counts_only_from_when_the_network_is_settled() -> None:
    values = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    history = fit(network(), Scripted(values), Training(epochs=6, patience=2), hooks=SettlesLate(3))
    assert history.stopped_early is False
    assert history.best_epoch == 3


def test_a_metric_that_is_no_number_is_never_the_best() -> None:
    history = fit(network(), Scripted([float("nan"), 0.2, float("nan")]), Training(epochs=3))
    assert history.best_epoch == 1
    assert history.to_json()["validation"]["accuracy"] == [None, 0.2, None]


@pytest.mark.parametrize("step", [0, 1, 20])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(step: int, value: float) -> None:
    class Broken(Toy):
        calls = 0

        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            self.calls += 1
            return super().loss(model, batch) * (value if self.calls == step + 1 else 1.0)

    message = rf"the loss is {value} in epoch {step // 3}, step {step % 3} \(.*learning rate below 0.01.*clip_norm"
    with pytest.raises(TrainingError, match=message):
        fit(network(), Broken(), Training(epochs=10))


def test_weights_that_break_in_the_very_last_step() -> None:
    with pytest.raises(TrainingError, match="is not finite"):
        fit(network(), Toy(steps=1), Training(epochs=1, optimizer=SGD(learning_rate=1e39)))


def test_what_cannot_be_trained() -> None:
    class Empty(Toy):
        def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
            yield from ()

    class Misnamed(Toy):
        metric = "auc"

    with pytest.raises(ModelError, match="Flatten has no parameter that needs a gradient"):
        fit(nn.Flatten(), Toy())
    with pytest.raises(ModelError, match="no parameter that needs a gradient"):
        fit(network().requires_grad_(False), Toy())
    with pytest.raises(TrainingError, match="'toy' gave no training batch in epoch 0"):
        fit(network(), Empty())
    with pytest.raises(TrainingError, match="evaluates to accuracy, loss; expected its headline metric 'auc'"):
        fit(network(), Misnamed())


def test_the_network_comes_back_in_evaluation_mode_and_trains_in_training_mode() -> None:
    modes = []

    class Watching(Toy):
        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            modes.append(all(module.training for module in model.modules()))
            return super().loss(model, batch)

    model = network().eval()
    fit(model, Watching(), Training(epochs=2))
    assert modes == [True] * 6
    assert not any(module.training for module in model.modules())


def test_frozen_weights_stay() -> None:
    model = network()
    model[0].requires_grad_(False)
    fit(model, Toy(), Training(epochs=2))
    assert torch.equal(model[0].weight, network()[0].weight)
    assert not torch.equal(model[4].weight, network()[4].weight)


def test_the_learning_rate_follows_the_schedule_step_by_step() -> None:
    rates = []

    class Noting(SettlesLate):
        def after_step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
            assert optimizer is not None
            rates.append(optimizer.param_groups[0]["lr"])

    training = Training(epochs=2, optimizer=Adam(learning_rate=0.5), schedule=Cosine(final=0.2))
    fit(network(), Toy(), training, hooks=Noting(0))
    assert rates == pytest.approx([0.5 * (0.6 + 0.4 * np.cos(np.pi * step / 6)) for step in range(6)])


def test_the_gradient_is_clipped_after_the_hooks_have_seen_it() -> None:
    seen: list[float] = []

    class Noting(SettlesLate):
        model: nn.Module

        def norm(self) -> float:
            return torch.stack([p.grad.norm() for p in self.model.parameters() if p.grad is not None]).norm().item()

        def after_backward(self) -> None:
            seen.append(self.norm())

        def after_step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
            seen.append(self.norm())

    hooks = Noting(0)
    hooks.model = network()
    fit(hooks.model, Toy(), Training(epochs=1, clip_norm=1e-3), hooks=hooks)
    assert min(seen[::2]) > 1e-2
    assert seen[1::2] == pytest.approx([1e-3] * 3, rel=1e-3)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    fit(network(), Toy(), Training(epochs=2))
    assert capfd.readouterr() == ("", "")
