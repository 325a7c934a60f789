from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.compression.method import Method
from gossamer.compression.search import Found, settle, tighter
from gossamer.cost import Budget, Cost
from gossamer.errors import ModelError, SettingError
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Knobbed(Method):
    name = "knobbed-for-tests"
    knob = "sparsity"
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True)
class Coarse(Method):
    knob = "steps"
    steps: int = bounded(3, gt=0, le=40)


def cost(nonzeros: int, latency: float | None = None) -> Cost:
    return Cost(parameters=10_000, nonzeros=nonzeros, bytes=4 * nonzeros, macs=nonzeros, latency_ms=latency)


def trial(method: Method) -> Cost:
    assert isinstance(method, Knobbed)
    return cost(round(10_000 * (1 - method.sparsity)))


def timed(latency: Callable[[float], float]) -> Callable[[Method], Cost]:
    def trial(method: Method) -> Cost:
        assert isinstance(method, Knobbed)
        return cost(1, latency(method.sparsity))

    return trial


def sparsity(found: Found) -> float:
    assert isinstance(found.method, Knobbed)
    return found.method.sparsity


@given(st.integers(20, 9_999))
def test_finds_the_gentlest_setting_within_the_budget(limit: int) -> None:
    found = settle(Knobbed(), Budget(nonzeros=limit), trial)
    assert found.met
    assert found.cost == trial(found.method)
    assert found.cost.nonzeros <= limit
    assert sparsity(found) <= 1 - limit / 10_000 + 2e-3, "a gentler setting was within the budget too"


def test_a_budget_that_the_dense_network_meets_removes_nothing() -> None:
    found = settle(Knobbed(), Budget(nonzeros=10_000), trial)
    assert sparsity(found) == 0.0
    assert len(found.trials) == 1


def test_an_unreachable_budget_gives_the_nearest_and_says_so() -> None:
    found = settle(Knobbed(), Budget(nonzeros=1), trial)
    assert not found.met
    assert sparsity(found) == pytest.approx(0.999)
    assert len(found.trials) == 2, "what is counted is least at the end: nothing between can be nearer"


@given(st.floats(0.3, 0.98), st.integers(0, 1000))
def test_noise_and_plateaus_still_end_within_the_bound(bound: float, seed: int) -> None:
    noise = random.Random(seed)

    def latency(value: float) -> float:
        return (0.2 + 0.8 * (1 - math.floor(20 * value) / 20)) * noise.uniform(0.99, 1.01)

    found = settle(Knobbed(), Budget(latency_ms=bound), timed(latency))
    assert found.met
    exact = 0.2 + 0.8 * (1 - math.floor(20 * sparsity(found)) / 20)
    assert exact <= 1.0 * bound, "a margin of 3 % covers a noise of 1 %"
    gentler = 0.2 + 0.8 * (1 - (math.floor(20 * sparsity(found)) - 1) / 20)
    assert gentler > 0.95 * bound, "one plateau gentler would have been clearly within the bound"
    assert len(found.trials) <= 20


def test_a_latency_that_rises_at_the_end_is_found_below_it() -> None:
    found = settle(Knobbed(), Budget(latency_ms=0.5), timed(lambda value: 1 - value if value < 0.95 else 0.7))
    assert found.met
    assert 0.5 < sparsity(found) < 0.56


def test_of_those_out_of_reach_the_gentlest_within_noise_is_nearest() -> None:
    found = settle(Knobbed(), Budget(latency_ms=0.1), timed(lambda value: max(0.5, 1 - value) + 0.001 * (1 - value)))
    assert not found.met
    assert sparsity(found) == pytest.approx(0.5, abs=0.01)


def test_all_bounds_count() -> None:
    def both(method: Method) -> Cost:
        assert isinstance(method, Knobbed)
        return cost(round(10_000 * (1 - method.sparsity)), 1 - method.sparsity / 2)

    found = settle(Knobbed(), Budget(nonzeros=3000, latency_ms=0.9), both)
    assert sparsity(found) == pytest.approx(0.7, abs=0.03)
    assert found.met


def test_refused_values_are_passed_over() -> None:
    def picky(method: Method) -> Cost:
        assert isinstance(method, Knobbed)
        if not 0.3 < method.sparsity < 0.8:
            raise ModelError("the layer would be empty")
        return trial(method)

    found = settle(Knobbed(), Budget(nonzeros=4_000), picky)
    assert found.met
    assert sparsity(found) == pytest.approx(0.6, abs=2e-3)
    assert {one.error for one in found.trials} == {None, "the layer would be empty"}

    def only_its_own(method: Method) -> Cost:
        assert isinstance(method, Knobbed)
        if method.sparsity != 0.4321:
            raise SettingError("no other")
        return trial(method)

    assert sparsity(settle(Knobbed(sparsity=0.4321), Budget(nonzeros=6_000), only_its_own)) == 0.4321
    with pytest.raises(SettingError, match="no other"):
        settle(Knobbed(), Budget(nonzeros=6_000), only_its_own)


def test_a_whole_knob_is_tried_at_whole_numbers() -> None:
    tried: list[int] = []

    def steps(method: Method) -> Cost:
        assert isinstance(method, Coarse)
        tried.append(method.steps)
        return cost(1000 - 20 * method.steps)

    found = settle(Coarse(), Budget(nonzeros=530), steps)
    assert found.method == Coarse(steps=24)
    assert len(tried) == len(set(tried))
    assert min(tried) == 1


def test_no_trial_is_made_twice_and_known_ones_are_not_made_again() -> None:
    seen = []
    first = settle(Knobbed(), Budget(nonzeros=3_000), trial, report=seen.append)
    assert tuple(seen) == first.trials
    values = [one.value for one in first.trials]
    assert len(values) == len(set(values))

    def forbidden(method: Method) -> Cost:
        raise AssertionError("made again")

    again = settle(Knobbed(), Budget(nonzeros=3_000), forbidden, known=first.trials)
    assert again.method == first.method
    tight = settle(Knobbed(), Budget(nonzeros=2_000), trial, known=first.trials)
    assert tight.cost.nonzeros <= 2_000
    assert sparsity(tight) == pytest.approx(0.8, abs=2e-3)


def test_what_was_found_goes_to_json_and_back() -> None:
    found = settle(Knobbed(), Budget(nonzeros=3_000), trial)
    assert Found.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_tighter_budget_takes_off_what_a_network_costs_more_than_its_trial() -> None:
    budget = Budget(nonzeros=100, latency_ms=2.0)
    assert tighter(budget, cost(80, 1.5), cost(125, 1.0)) == Budget(nonzeros=64, latency_ms=2.0)
    tight = tighter(Budget(latency_ms=2.0), cost(1, 1.9), cost(1, 2.1))
    assert Budget(latency_ms=2.0).excess(cost(1, 1.9)) < 0 < tight.excess(cost(1, 1.9)), "the setting has to change"


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(SettingError, match="training_macs"):
        settle(Knobbed(), Budget(training_macs=1e9), trial)
    with pytest.raises(SettingError, match="no knob"):
        settle(Method(), Budget(nonzeros=1), trial)
