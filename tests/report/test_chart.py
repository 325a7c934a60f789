from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gossamer.report.chart import Scale, fit_scale, linear_ticks, log_ticks

numbers = st.floats(-1e9, 1e9, allow_subnormal=False)


@given(numbers, numbers, st.integers(2, 9))
def test_linear_ticks_are_inside_rising_and_few(low: float, high: float, count: int) -> None:
    assume(high - low > 1e-6 * max(abs(low), abs(high), 1.0))
    ticks = linear_ticks(low, high, count)
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in ticks)
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= count + 1


@given(st.floats(1e-6, 1e12), st.floats(3.0, 1e6), st.integers(3, 9))
@example(30000000001.0, 3.0, 3)
def test_log_ticks_are_inside_and_few(low: float, factor: float, count: int) -> None:
    ticks = log_ticks(low, low * factor, count)
    assert all(low * (1 - 1e-9) <= tick <= low * factor * (1 + 1e-9) for tick in ticks)
    assert ticks == sorted(ticks)
    assert 2 <= len(ticks) <= max(count, 6)


def test_scales_by_hand() -> None:
    linear = Scale(low=0, high=10, start=100, end=0)
    assert [linear(0), linear(5), linear(10)] == [100, 50, 0]
    log = Scale(low=1, high=100, start=0, end=10, log=True)
    assert [log(1), log(10), log(100)] == pytest.approx([0, 5, 10])


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=20), st.booleans())
def test_every_value_falls_inside_a_fitted_scale(values: list[float], log: bool) -> None:
    scale = fit_scale(values, 50, 400, log=log)
    assert all(50 - 1e-6 <= scale(value) <= 400 + 1e-6 for value in values)
    assert scale.log == (log and max(values) / min(values) >= 3)


def test_values_that_have_no_logarithm_get_a_linear_scale() -> None:
    scale = fit_scale([0.0, 10.0], 0, 100, log=True)
    assert not scale.log
    assert math.isfinite(scale(0.0))
