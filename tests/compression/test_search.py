from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.compression.method import Method
from gossamer.compression.search import find_setting
from gossamer.cost import Budget, Cost
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Knobbed(Method):
    knob = "sparsity"
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)


def cost(nonzeros: int) -> Cost:
    return Cost(parameters=10_000, nonzeros=nonzeros, bytes=4 * nonzeros, macs=nonzeros)


def trial(method: Method) -> Cost:
    assert isinstance(method, Knobbed)
    return cost(round(10_000 * (1 - method.sparsity)))


@given(st.integers(20, 9_999))
def test_finds_the_gentlest_setting_within_the_budget(limit: int) -> None:
    found = find_setting(Knobbed(), Budget(nonzeros=limit), trial)
    assert isinstance(found, Knobbed)
    assert trial(found).nonzeros <= limit
    assert found.sparsity <= 1 - limit / 10_000 + 2e-3, "a gentler setting was within the budget too"


def test_a_budget_that_the_dense_network_meets_removes_nothing() -> None:
    found = find_setting(Knobbed(), Budget(nonzeros=10_000), trial)
    assert isinstance(found, Knobbed)
    assert found.sparsity == 0.0


def test_an_unreachable_budget_gives_the_nearest() -> None:
    found = find_setting(Knobbed(), Budget(nonzeros=1), trial)
    assert isinstance(found, Knobbed)
    assert found.sparsity == pytest.approx(0.999)
