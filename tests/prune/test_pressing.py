"""How groups are pressed to zero, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gossamer.prune.pressing import (
    Chance,
    DirectionAndSize,
    FiveSigns,
    HalfSpace,
    Moment,
    Observed,
    PartByPart,
    SoftThreshold,
)

SGD = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
ADAM = torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def observed(x: Tensor, d: Tensor, rate: float) -> Observed:
    """What a step of x along -d shows; a group a row."""
    after = x - rate * d
    return Observed(
        norm=x.norm(dim=1),
        size=torch.full((len(x),), float(x.shape[1])),
        dot=(x * d).sum(1),
        direction=d.norm(dim=1),
        moved=(after * x).sum(1),
        after=after.norm(dim=1),
    )


def test_strengths_by_hand() -> None:
    # ‖x‖ = 5. d leads to zero; away; so far away that what is amplified would overshoot.
    x = torch.tensor([[3.0, 4.0]] * 3)
    d = torch.tensor([[3.0, 4.0], [-0.1, 0.0], [-3.0, -4.0]])
    seen = observed(x, d, 0.1)
    rule = HalfSpace(in_time=False)
    # away: low = 0.3 / 5 = 0.06, high = 0.01 · 5 / 0.3; SGD: clip(2 · 0.06, 1e-3, 1e-2) = 0.01 < high
    # straight away: low = 25 / 5 = 5, high = 25 · 5 / 25 = 5; clip(10, ...) = 0.01 < high
    torch.testing.assert_close(rule.strengths(seen, SGD), torch.tensor([1e-3, 1e-2, 1e-2]))
    # Adam: clip(20 · 0.06, 1e-2, 10) = 1.2 >= high = 1/6, so (0.06 + 1/6) / 2; then clip(100, ...) = 10 >= 5, so 5
    torch.testing.assert_close(rule.strengths(seen, ADAM), torch.tensor([1e-2, (0.06 + 1 / 6) / 2, 5.0]))
    given = HalfSpace(strength=0.5, amplify=1.0, ceiling=1.0, in_time=False)
    torch.testing.assert_close(given.strengths(seen, SGD), torch.tensor([0.5, (0.06 + 1 / 6) / 2, 0.5]))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    st.lists(st.floats(-20, 20), min_size=3, max_size=3),
    st.floats(0.001, 1.0),
    st.floats(0.0, 0.9),
)
def test_a_group_goes_to_zero_exactly_where_it_leaves_its_half_space(
    x: list[float], d: list[float], strength: float, epsilon: float
) -> None:
    old, direction, rate = torch.tensor([x], dtype=torch.float64), torch.tensor([d], dtype=torch.float64), 0.1
    if old.norm() < 1e-3:
        return
    rule = HalfSpace(strength=strength, amplify=1.0, ceiling=1.0, epsilon=epsilon, in_time=False)
    seen = observed(old, direction, rate)
    press = rule.press(seen, torch.tensor([0]), Moment(0, 100, rate, SGD))
    new = old - rate * direction - rate * press.pull[:, None] * old
    inside = float((new * old).sum()) - epsilon * float(old.square().sum())
    if abs(inside) > 1e-9:
        assert bool(press.zero[0]) == (inside < 0)
    lam = float(press.pull[0]) * float(old.norm())
    torch.testing.assert_close(lam, float(rule.strengths(seen, SGD)[0]), rtol=1e-6, atol=1e-9)


def test_what_was_not_chosen_stays_as_it_is() -> None:
    x, d = torch.ones(2, 2), torch.full((2, 2), 30.0)
    press = HalfSpace().press(observed(x, d, 0.1), torch.tensor([-1, -1]), Moment(9, 10, 0.1, SGD))
    assert not press.zero.any()
    assert not press.pull.any()


def test_the_last_step_in_time_leaves_nothing() -> None:
    x, d = torch.ones(1, 2), torch.full((1, 2), -1.0)  # the loss wants it to grow
    for step in range(10):
        press = HalfSpace(strength=1e-4).press(observed(x, d, 0.1), torch.tensor([0]), Moment(step, 10, 0.1, SGD))
        if press.zero[0]:
            break
        x = x - 0.1 * d - 0.1 * press.pull[:, None] * x
    assert press.zero[0]
    assert float(x.norm()) < 0.2 * math.sqrt(2)  # it was led there, not cut down


def test_progressive_shrinks_in_a_straight_line_part_after_part() -> None:
    values, rule = torch.ones(4, 1), PartByPart(periods=2)
    chosen = torch.tensor([1, 0, -1, 2])  # parts: 0 and 1 of three in the first, 2 in the second
    seen = []
    for step in range(8):
        press = rule.press(observed(values.clamp_min(1e-9), torch.zeros(4, 1), 0.1), chosen, Moment(step, 8, 0.1, None))
        values = values * press.factor[:, None]
        values[press.zero] = 0.0
        seen.append(values.flatten().tolist())
    expected = [
        [0.75, 0.75, 1, 1],
        [0.5, 0.5, 1, 1],
        [0.25, 0.25, 1, 1],
        [0, 0, 1, 1],
        [0, 0, 1, 0.75],
        [0, 0, 1, 0.5],
        [0, 0, 1, 0.25],
        [0, 0, 1, 0],
    ]
    torch.testing.assert_close(torch.tensor(seen), torch.tensor(expected))


def test_soft_threshold_is_the_proximal_step_of_the_group_lasso() -> None:
    x = torch.tensor([[3.0, 4.0], [0.03, 0.04]])
    press = SoftThreshold(strength=1.0).press(
        observed(x, torch.zeros(2, 2), 0.1), torch.tensor([-1, -1]), Moment(0, 9, 0.1, SGD)
    )
    torch.testing.assert_close(press.factor, torch.tensor([1 - 0.1 / 5, 0.0]))
    assert press.zero.tolist() == [False, True]


def test_redundancies_by_hand() -> None:
    x, d = torch.tensor([[3.0, 4.0], [0.6, 0.8]]), torch.tensor([[3.0, 4.0], [-0.6, -0.8]])
    seen, draw = observed(x, d, 0.1), torch.Generator().manual_seed(0)
    small = torch.tensor([1 / (2.5 + 1e-6), 1 / (0.5 + 1e-6)])
    cosine = torch.tensor([1.0, -1.0])
    torch.testing.assert_close(
        DirectionAndSize().of(seen, draw), 0.5 * cosine / math.sqrt(2) + 0.5 * small / small.norm()
    )
    signs = [[5.0, 1.0], [2.5, 0.5], [2.0, 0.0], [25.0, 1.0], [312.5, 0.5]]
    expected = -0.2 * sum(torch.tensor(sign) / torch.tensor(sign).norm() for sign in signs)
    torch.testing.assert_close(FiveSigns().of(seen, draw), expected)


def test_chance_depends_on_the_generator_alone() -> None:
    seen = observed(torch.randn(5, 2), torch.randn(5, 2), 0.1)
    first, second, third = (Chance().of(seen, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.parametrize("rule", [HalfSpace(), PartByPart()], ids=lambda rule: rule.name)
def test_a_rate_of_zero_is_no_trouble(rule: HalfSpace | PartByPart) -> None:
    seen = observed(torch.randn(3, 2), torch.zeros(3, 2), 0.0)
    press = rule.press(seen, torch.tensor([0, -1, 1]), Moment(1, 9, 0.0, SGD))
    assert all(bool(torch.isfinite(part).all()) for part in (press.factor, press.pull))
