"""Timing calls what it says as often as it says; its numbers are those of the textbook."""

import math
import random
import subprocess
import sys
import time

import pytest
import torch

from gossamer.errors import SettingError
from gossamer.timing import Timing, against, interleaved, keep_heap, median_interval, using_threads


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


def test_the_interval_of_a_median_holds_it_and_narrows():
    draw = random.Random(1)
    missed, widths = 0, []
    for _ in range(500):
        low, high = median_interval([draw.expovariate(1.0) for _ in range(50)])
        missed += not low <= math.log(2) <= high
        widths.append(high - low)
    assert missed <= 8, "it should miss about 3 times in 1000"
    assert max(widths) < math.inf
    assert median_interval([1.0] * 9) == (0.0, math.inf), "nine ranks are too few for three deviations"
    assert median_interval([5.0] * 100) == (5.0, 5.0)


def test_timing_against_a_far_bound_ends_at_the_first_look():
    calls = []

    def call():
        calls.append(time.perf_counter())
        time.sleep(0.004)

    for bound in (0.1, 1000.0):
        calls.clear()
        timing = against(call, bound, seconds=100.0)
        assert calls[-1] - calls[0] < 5.0
        assert (timing.median_ms <= bound) == (bound > 1.0)
    assert len(against(call, timing.median_ms, seconds=0.0).times_ms) >= 5, "no time left: what there is decides"


def test_warm_calls_come_before_the_timed_one_of_the_same() -> None:
    order: list[str] = []
    times = interleaved(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=2, seconds=0.0, warm=1
    )
    assert "".join(order[-8:]) == "aabbaabb"
    assert [len(timing.times_ms) for timing in times.values()] == [2, 2]


@pytest.mark.skipif(not keep_heap(), reason="needs the GNU C library")
def test_a_process_that_times_keeps_its_memory():
    """What a call frees is there for the next: no page is mapped anew, however young the process."""
    code = """
import resource, torch
from gossamer.timing import interleaved
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
call = lambda: [torch.zeros(1_000_000) + 1 for _ in range(4)]
interleaved({"call": call}, repeats=5)
before = faults()
for _ in range(20):
    call()
print((faults() - before) / 20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100, "four tensors of 4 MB have some 4000 pages"
