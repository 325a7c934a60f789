from __future__ import annotations

import io

import pytest
from rich.console import Console

from gossamer.train import progress
from gossamer.train.progress import Bar


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def console(*, terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_short_run_shows_nothing(clock: Clock) -> None:
    screen = console()
    with Bar(10, 5, screen) as bar:
        for step in range(50):
            clock.now += 0.05
            bar.update(step + 1, 1.0, "accuracy", 0.5)
    assert text(screen) == ""


def test_a_long_run_shows_rate_time_left_loss_and_metric(clock: Clock) -> None:
    screen = console()
    with Bar(100, 5, screen) as bar:
        bar.update(1, None, "accuracy", None)
        clock.now += 4.0
        bar.update(40, 0.123456, "accuracy", 0.75)
    for part in ("epoch 8/100", "10 steps/s", "0:00:46 left", "loss 0.1235", "accuracy 0.75"):
        assert part in text(screen)


def test_a_resumed_run_counts_its_own_steps_only(clock: Clock) -> None:
    screen = console()
    with Bar(100, 5, screen) as bar:
        bar.update(401, None, "accuracy", None)
        clock.now += 10.0
        bar.update(410, None, "accuracy", None)
    assert "1 steps/s  0:01:30 left" in text(screen)


def test_it_is_drawn_four_times_a_second_at_most(clock: Clock) -> None:
    screen = console()
    with Bar(1000, 100, screen) as bar:
        clock.now += 4.0
        for step in range(1000):
            clock.now += 0.001
            bar.update(step + 1, 1.0, "accuracy", 0.5)
    assert text(screen).count("steps/s") <= 6  # one second: the first, four more, and the last when it ends


@pytest.mark.parametrize("screen", [None, console(terminal=False)])
def test_nothing_where_there_is_no_terminal(clock: Clock, screen: Console | None) -> None:
    with Bar(10, 5, screen) as bar:
        clock.now += 10.0
        bar.update(1, 1.0, "accuracy", 0.5)
    assert screen is None or text(screen) == ""
