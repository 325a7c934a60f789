from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gossamer.errors import DataError
from gossamer.papers import Pair, judge
from gossamer.papers.protocol.judge import one_sided, rounded, two_sided
from tests.papers.protocol.toy import claim

Effects = st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=3, max_size=9)


def pairs(effects: Sequence[float], baseline: float = 10.0) -> list[Pair]:
    return [Pair(baseline + place + effect, baseline + place) for place, effect in enumerate(effects)]


def ratios(values: Sequence[float]) -> list[Pair]:
    return [Pair(value * (place + 1), place + 1.0) for place, value in enumerate(values)]


@given(Effects)
def test_two_sided_is_scipys_paired_t_test(effects: list[float]) -> None:
    seen = pairs(effects)
    differences = [pair.measured - pair.baseline for pair in seen]
    if max(differences) - min(differences) < 1e-6:
        return
    expected = stats.ttest_rel([p.measured for p in seen], [p.baseline for p in seen]).pvalue
    assert two_sided(differences) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert judge(claim(), seen).p_value == pytest.approx(rounded(expected), rel=1e-4, abs=1e-12)


@given(Effects)
def test_one_sided_is_scipys(effects: list[float]) -> None:
    if max(effects) - min(effects) < 1e-6:
        return
    expected = stats.ttest_1samp(effects, 0.0, alternative="greater").pvalue
    assert one_sided(effects) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("effects", "margin", "tolerance", "verdict", "why"),
    [
        ([2.0, 2.1, 1.9, 2.2, 1.8], None, 0.0, "holds", "significant"),
        ([2.0, 2.1, 1.9, 2.2, 1.8], 2.0, 0.0, "holds", "of the size claimed"),
        ([2.0, 2.1, 1.9, 2.2, 1.8], 2.5, 0.5, "holds", "of the size claimed"),
        ([2.0, 2.1, 1.9, 2.2, 1.8], 2.5, 0.4, "holds in direction only", "smaller than claimed"),
        ([9.0, 9.1, 8.9, 9.2, 8.8], 2.5, 0.0, "holds", "of the size claimed"),
        ([2.0, -1.0, 3.0, -1.5, 1.0], None, 0.0, "holds in direction only", "not significant"),
        ([-2.0, 1.0, -3.0, 1.5, -1.0], None, 0.0, "does not hold", "not higher"),
        ([-2.0, -2.1, -1.9, -2.2, -1.8], None, 0.0, "does not hold", "not higher"),
        ([0.0, 0.0, 0.0], None, 0.0, "does not hold", "not higher"),
    ],
)
def test_higher(effects: list[float], margin: float | None, tolerance: float, verdict: str, why: str) -> None:
    found = judge(claim(margin=margin, tolerance=tolerance), pairs(effects))
    assert found.verdict == verdict
    assert why in found.why


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([0.1, -0.2, 0.0, 0.2, -0.1], "holds"),
        ([0.9, 0.7, 1.0, 0.8, 1.1], "holds in direction only"),  # mean 0.9 of 1.0, p about 0.11
        ([1.1, 1.2, 1.0, 1.3, 1.1], "does not hold"),
        ([-1.1, -1.2, -1.0, -1.3, -1.1], "does not hold"),
    ],
)
def test_equal_is_two_one_sided_tests(effects: list[float], verdict: str) -> None:
    found = judge(claim(direction="equal", tolerance=1.0), pairs(effects))
    assert found.verdict == verdict
    above = stats.ttest_1samp([e + 1.0 for e in effects], 0.0, alternative="greater").pvalue
    below = stats.ttest_1samp([e - 1.0 for e in effects], 0.0, alternative="less").pvalue
    assert found.p_value == pytest.approx(max(above, below), rel=1e-4)


@pytest.mark.parametrize(
    ("direction", "effects", "verdict"),
    [
        ("no lower", [5.0, 5.1, 4.9], "holds"),
        ("no lower", [-0.1, -0.2, 0.0, -0.15], "holds"),
        ("no lower", [-0.9, -0.2, -1.9, -0.1], "holds in direction only"),
        ("no lower", [-5.0, -5.1, -4.9], "does not hold"),
        ("no higher", [-5.0, -5.1, -4.9], "holds"),
        ("no higher", [5.0, 5.1, 4.9], "does not hold"),
    ],
)
def test_no_lower_and_no_higher_bound_one_side(direction: str, effects: list[float], verdict: str) -> None:
    assert judge(claim(direction=direction, tolerance=1.0), pairs(effects)).verdict == verdict


def test_a_ratio_is_judged_by_its_logarithm() -> None:
    values = [0.12, 0.15, 0.14, 0.13]
    seventh = claim(direction="lower", comparison="ratio", margin=1 / 7)
    found = judge(seventh, ratios(values))
    logarithms = [math.log(value) for value in values]
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(math.prod(values) ** (1 / 4), rel=1e-5)
    assert found.spread == pytest.approx(stats.tstd(values), rel=1e-5)
    assert found.p_value == pytest.approx(stats.ttest_1samp(logarithms, 0.0).pvalue, rel=1e-4)
    missed = [value * 1.2 for value in values]
    assert judge(seventh, ratios(missed)).verdict == "holds in direction only"
    assert judge(seventh.replace(tolerance=0.2), ratios(missed)).verdict == "holds"
    assert judge(seventh, ratios([1.2, 1.3, 1.1])).verdict == "does not hold"


def test_a_ratio_refuses_zero() -> None:
    with pytest.raises(DataError, match="numbers above 0"):
        judge(claim(comparison="ratio"), [Pair(0.0, 1.0)] * 3)


@given(Effects)
def test_lower_is_higher_with_the_sides_exchanged(effects: list[float]) -> None:
    seen = pairs(effects)
    turned = [Pair(pair.baseline, pair.measured) for pair in seen]
    up, down = judge(claim(margin=1.0), seen), judge(claim(direction="lower", margin=-1.0), turned)
    assert (up.verdict, up.p_value, up.spread) == (down.verdict, down.p_value, down.spread)


@given(Effects)
def test_the_order_of_seeds_is_nothing(effects: list[float]) -> None:
    seen = pairs(effects)
    assert judge(claim(), seen) == judge(claim(), seen[::-1])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=2), st.sampled_from(["higher", "equal", "no lower"]))
def test_one_or_two_seeds_get_no_verdict(effects: list[float], direction: str) -> None:
    found = judge(claim(direction=direction, tolerance=1.0), pairs(effects))
    assert found.verdict == "not testable at this scale"
    assert "at least 3" in found.why
    assert found.p_value is None
    assert found.measured is not None
    assert (found.spread is None) == (len(effects) == 1)


def test_without_observations_the_reason_is_given() -> None:
    found = judge(claim(), [], why="needs a GPU")
    assert (found.verdict, found.why, found.measured) == ("not testable at this scale", "needs a GPU", None)


def test_counts_that_never_vary_are_certain() -> None:
    lower = claim(direction="lower", comparison="ratio")
    found = judge(lower, [Pair(5.0, 10.0)] * 3)
    assert (found.verdict, found.effect, found.spread, found.p_value) == ("holds", 0.5, 0.0, 0.0)
    assert judge(lower, [Pair(5.0, 5.0)] * 3).p_value == 1.0
