from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import SettingError
from gossamer.prune.schedules import Cubic, Event, Iterative, OneShot, Schedule

schedules = st.one_of(
    st.builds(OneShot, at=st.floats(0, 1)),
    st.builds(Cubic, start=st.floats(0, 0.4), end=st.floats(0.5, 1), every=st.floats(0.01, 1)),
    st.builds(Iterative, rounds=st.integers(1, 9), rewind=st.booleans(), rewind_to=st.floats(0, 0.99)),
)


@given(schedules, st.integers(0, 500), st.floats(0, 0.99))
def test_plans_rise_to_exactly_the_sparsity_within_the_training(
    schedule: Schedule, steps: int, sparsity: float
) -> None:
    plan = schedule.plan(steps, sparsity)
    assert plan[-1].sparsity == sparsity
    assert all(0 <= event.step <= steps for event in plan)
    assert [event.step for event in plan] == sorted({event.step for event in plan})
    assert [event.sparsity for event in plan] == sorted(event.sparsity for event in plan)
    snapshot = schedule.snapshot_step(steps)
    if any(event.rewind for event in plan):
        assert snapshot is not None
        assert snapshot <= plan[0].step


def test_one_shot() -> None:
    assert OneShot(at=0.5).plan(200, 0.9) == (Event(100, 0.9),)
    assert OneShot(at=0.5).plan(0, 0.9) == (Event(0, 0.9),)


def test_cubic_values() -> None:
    plan = Cubic(start=0.25, end=0.75, every=0.125).plan(80, 0.8)
    assert [event.step for event in plan] == [30, 40, 50, 60]
    expected = [0.8 * (1 - (1 - tau) ** 3) for tau in (0.25, 0.5, 0.75, 1.0)]
    assert [event.sparsity for event in plan] == pytest.approx(expected)


def test_cubic_refuses_an_end_before_its_start() -> None:
    with pytest.raises(SettingError, match="expected start before end"):
        Cubic(start=0.8, end=0.5)


def test_iterative_removes_the_same_fraction_each_round() -> None:
    plan = Iterative(rounds=3, rewind_to=0.5).plan(100, 0.936)
    assert [event.step for event in plan] == [25, 50, 75]
    assert [event.sparsity for event in plan] == pytest.approx([0.6, 0.84, 0.936])
    assert all(event.rewind for event in plan)
    assert Iterative(rounds=3, rewind_to=0.5).snapshot_step(100) == 12
    assert Iterative(rewind=False).snapshot_step(100) is None
    assert Iterative().plan(0, 0.5) == (Event(0, 0.5),)
