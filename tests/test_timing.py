"""Timing calls what it says as often as it says; its numbers are those of the textbook."""

import pytest
import torch

from gossamer.errors import SettingError
from gossamer.timing import Timing, interleaved, using_threads


def test_timing_counts_its_repeats_and_calls_in_turns():
    order = []
    timings = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=4)
    assert order[-8:] == ["a", "b"] * 4
    assert len(timings["a"].times_ms) == 4


def test_median_and_interquartile_range_by_hand():
    timing = Timing((9.0, 1.0, 3.0, 2.0, 5.0))
    assert timing.median_ms == 3.0
    assert timing.spread_ms == 5.0 - 2.0
    assert timing.quick_ms == 9.0  # of so few calls, all five
    assert Timing((4.0,)).spread_ms == 0.0
    assert Timing(tuple(map(float, range(40)))).quick_ms == 9.0  # ten of forty


def test_timing_stops_after_its_seconds_but_not_before_five_calls():
    calls = []
    interleaved({"a": lambda: calls.append(1)}, repeats=1000, seconds=0.0)
    assert len(calls) == 3 + 5


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(threads):
    with pytest.raises(SettingError, match="at least 1"), using_threads(threads):
        pass


def test_repeats_below_one_are_refused():
    with pytest.raises(SettingError, match="at least 1"):
        interleaved({}, repeats=0)


def test_threads_are_put_back_after_an_error():
    before = torch.get_num_threads()

    def fail() -> None:
        with using_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert torch.get_num_threads() == before
