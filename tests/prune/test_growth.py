from __future__ import annotations

import pytest
import torch

from gossamer.prune.growth import AtRandom, ByGradient, ByHebb, ByMomentum, Growth, Untried

GRADIENT = torch.tensor([[1.0, -4.0], [0.5, 2.0]])
TRIED = torch.tensor([[True, False], [True, True]])


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("growth", [ByGradient(), ByMomentum()])
def test_gradients_are_ranked_by_size(growth: Growth) -> None:
    assert growth.score(GRADIENT, TRIED, chance()).tolist() == [[1.0, 4.0], [0.5, 2.0]]


def test_random_growth_ignores_gradients_and_untried_comes_first() -> None:
    uniform = AtRandom().score(None, TRIED, chance())
    assert bool(((uniform >= 0) & (uniform < 1)).all())
    untried = Untried().score(None, TRIED, chance())
    torch.testing.assert_close(untried, uniform + torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64))


CORRELATION = torch.tensor([[0.5, -0.75], [torch.nan, 0.0]])


def test_hebb_ranks_by_correlation_and_puts_what_is_not_known_last() -> None:
    assert ByHebb().score(CORRELATION, TRIED, chance()).tolist() == [[0.5, -0.75], [-1.75, 0.0]]
    assert ByHebb(absolute=True).score(CORRELATION, TRIED, chance()).tolist() == [[0.5, 0.75], [-1.0, 0.0]]
    nothing = torch.full((2, 2), torch.nan)
    assert torch.equal(ByHebb().score(nothing, TRIED, chance()), torch.full((2, 2), -1.0))
    assert torch.equal(ByHebb().score(None, TRIED, chance()), AtRandom().score(None, TRIED, chance()))


def test_hebb_draws_with_odds_exp_c_over_t() -> None:
    seen = torch.tensor([[0.9, 0.5, 0.1, torch.nan]])
    draw, growth = chance(), ByHebb(temperature=0.4)
    firsts = torch.stack([growth.score(seen, torch.ones(1, 4, dtype=torch.bool), draw).argmax() for _ in range(4000)])
    expected = torch.softmax(torch.tensor([0.9, 0.5, 0.1]) / 0.4, 0)
    torch.testing.assert_close(torch.bincount(firsts, minlength=4)[:3] / 4000, expected, atol=0.03, rtol=0.0)
    assert not bool((firsts == 3).any())


def test_grown_weights_start_at_zero_or_on_the_side_of_the_correlation() -> None:
    assert ByHebb().begin(CORRELATION, 2.0) is None
    begun = ByHebb(start=0.1).begin(CORRELATION, 2.0)
    assert begun is not None
    torch.testing.assert_close(begun, torch.tensor([[0.2, -0.2], [0.0, 0.0]]))
    assert ByHebb(start=0.1).begin(None, 2.0) is None
    assert ByGradient().begin(GRADIENT, 2.0) is None


def test_step_costs_follow_the_published_formula() -> None:
    f_sparse, f_dense, every = 10.0, 100.0, 50
    share = f_sparse / f_dense
    expected = (3 * f_sparse * every + 2 * f_sparse + f_dense) / (every + 1) / f_dense
    assert ByGradient().step_cost(share, every) == pytest.approx(expected)
    assert AtRandom().step_cost(share, every) == Untried().step_cost(share, every) == pytest.approx(0.3)
    assert ByMomentum().step_cost(share, every) == pytest.approx(1.2)
    assert ByHebb().step_cost(share, every) == pytest.approx(1.3)  # a dense product of activities beside the step
    for growth in (ByGradient(), AtRandom(), ByMomentum()):
        assert growth.step_cost(1.0, every) == pytest.approx(3.0)  # nothing removed: a dense step
