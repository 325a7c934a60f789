from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from gossamer.errors import SettingError
from gossamer.frontier.statistics import Difference, Estimate, difference

VALUES = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=8)
CONFIDENCE = st.sampled_from([0.5, 0.9, 0.95, 0.99])


def estimate(*values: float, first: int = 0, counted: bool = False) -> Estimate:
    return Estimate(values=values, seeds=tuple(range(first, first + len(values))), counted=counted)


@given(VALUES, CONFIDENCE)
def test_the_interval_is_students(values: list[float], confidence: float) -> None:
    assume(np.std(values) > 1e-6)
    found = estimate(*values).interval(confidence)
    expected = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert found == pytest.approx(expected)


def test_the_interval_by_hand() -> None:
    """Three values 1, 2, 3: s = 1, t(0.975, 2) = 4.302653, half width 4.302653 / sqrt(3)."""
    assert estimate(1.0, 2.0, 3.0).half_width() == pytest.approx(2.484138, abs=1e-6)


def test_a_single_seed_has_no_interval_and_a_count_has_one_of_no_width() -> None:
    assert estimate(0.8).interval() is None
    assert estimate(0.8).deviation is None
    assert estimate(3.0, counted=True).interval() == (3.0, 3.0)
    assert estimate(3.0, 5.0, counted=True).interval() == (4.0, 4.0)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=8), CONFIDENCE)
def test_the_same_seeds_are_paired(pairs: list[tuple[float, float]], confidence: float) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assume(np.std(np.subtract(first, second)) > 1e-6)
    found = difference(estimate(*first), estimate(*second), confidence)
    expected = stats.ttest_rel(first, second).confidence_interval(confidence)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_pairing_goes_by_seed_and_not_by_order() -> None:
    mixed = Estimate(values=(3.0, 1.0, 2.0), seeds=(2, 0, 1))
    assert difference(mixed, estimate(0.0, 1.0, 2.0)) == Difference(mean=1.0, low=1.0, high=1.0)


@given(VALUES, VALUES, CONFIDENCE)
def test_other_seeds_are_compared_by_welch(first: list[float], second: list[float], confidence: float) -> None:
    assume(np.std(first) > 1e-3 and np.std(second) > 1e-3)
    found = difference(estimate(*first), estimate(*second, first=100), confidence)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_nothing_is_known_of_single_seeds_but_means_can_be_taken_as_certain() -> None:
    assert difference(estimate(0.8), estimate(0.7)) is None
    assert difference(estimate(0.8), estimate(0.7, 0.7)) is None
    certain = difference(estimate(0.75), estimate(0.5), None)
    assert certain == Difference(mean=0.25, low=0.25, high=0.25)
    assert certain.beyond_noise
    counted = difference(estimate(3.0, counted=True), estimate(1.0, counted=True))
    assert counted == Difference(mean=2.0, low=2.0, high=2.0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_a_confidence_is_a_probability(confidence: float) -> None:
    with pytest.raises(SettingError, match="above 0 and below 1"):
        estimate(1.0, 2.0).interval(confidence)
