from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from gossamer.errors import SettingError
from gossamer.settings import members
from gossamer.train import Constant, Cosine, Exponential, Linear, MultiStep, OneCycle, Repeat, Schedule, Step, Warmup

EPOCHS = 30


def rates_of_torch(make: object) -> list[float]:
    """The factors that a scheduler of PyTorch gives at the start of each epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        (Linear(final=0.1), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=EPOCHS)),
        (Cosine(final=0.05), lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, eta_min=0.05)),
        (Exponential(gamma=0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (Step(every=7, gamma=0.5), lambda o: lr_scheduler.StepLR(o, 7, 0.5)),
        (MultiStep(at=(0.1, 0.5, 0.7), gamma=0.2), lambda o: lr_scheduler.MultiStepLR(o, [3, 15, 21], 0.2)),
        (Repeat(times=3, then=Cosine()), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, EPOCHS // 3)),
        (
            Warmup(length=10, start=0.1, then=Cosine()),
            lambda o: lr_scheduler.SequentialLR(
                o,
                [
                    lr_scheduler.LinearLR(o, 0.1, 1.0, total_iters=10),
                    lr_scheduler.CosineAnnealingLR(o, EPOCHS - 10),
                ],
                [10],
            ),
        ),
    ],
)
def test_matches_pytorch_at_every_epoch(schedule: Schedule, make: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SequentialLR calls a deprecated form of its own
        expected = rates_of_torch(make)
    assert [schedule.factor(epoch, EPOCHS) for epoch in range(EPOCHS)] == pytest.approx(expected, abs=1e-9)


def test_one_cycle_matches_pytorch() -> None:
    # PyTorch counts to the last step rather than to the end: its 31 steps are our 30 epochs and the end.
    def make(optimizer: torch.optim.Optimizer) -> object:
        return lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=EPOCHS + 1, pct_start=10 / (EPOCHS + 1) + 1 / (EPOCHS + 1),
            div_factor=25, final_div_factor=1e4, cycle_momentum=False,
        )  # fmt: skip

    schedule = OneCycle(peak=1 / 3)
    assert [schedule.factor(epoch, EPOCHS) for epoch in range(EPOCHS)] == pytest.approx(rates_of_torch(make), abs=1e-9)
    assert schedule.factor(EPOCHS, EPOCHS) == pytest.approx(4e-6)


def test_by_hand() -> None:
    assert Cosine().factor(2.5, 10) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert Linear(final=0.5).factor(5, 10) == pytest.approx(0.75)
    assert Warmup(length=4, start=0.0, then=Constant()).factor(1, 10) == pytest.approx(0.25)
    assert Warmup(length=0, then=Constant()).factor(0, 10) == 1.0
    assert Warmup(length=10, then=Cosine()).factor(10, 10) == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(members(Schedule)))
@given(time=st.floats(0, 1), epochs=st.integers(1, 500))
def test_every_schedule_stays_between_nothing_and_the_full_rate(name: str, time: float, epochs: int) -> None:
    schedule = members(Schedule)[name]()
    assert 0.0 <= schedule.factor(time * epochs, epochs) <= 1.0 + 1e-12


@pytest.mark.parametrize("at", [(0.5, 0.2), (0.0,), (1.0,), (0.3, 1.5)])
def test_milestones_must_rise_within_the_training(at: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match="multistep: at is"):
        MultiStep(at=at)


def test_the_family_itself_is_no_schedule() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Schedule().factor(0, 1)
