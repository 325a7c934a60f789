from __future__ import annotations

import pytest
import torch

from gossamer.prune.growth import AtRandom, ByGradient, ByMomentum, Growth, Untried

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


def test_step_costs_follow_the_published_formula() -> None:
    f_sparse, f_dense, every = 10.0, 100.0, 50
    share = f_sparse / f_dense
    expected = (3 * f_sparse * every + 2 * f_sparse + f_dense) / (every + 1) / f_dense
    assert ByGradient().step_cost(share, every) == pytest.approx(expected)
    assert AtRandom().step_cost(share, every) == Untried().step_cost(share, every) == pytest.approx(0.3)
    assert ByMomentum().step_cost(share, every) == pytest.approx(1.2)
    for growth in (ByGradient(), AtRandom(), ByMomentum()):
        assert growth.step_cost(1.0, every) == pytest.approx(3.0)  # nothing removed: a dense step
