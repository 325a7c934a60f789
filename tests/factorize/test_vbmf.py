"""The rank by variational Bayes against planted ranks, and its noise against a brute search of the free energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.factorize import vbmf_rank
from gossamer.factorize.vbmf import _noise, free_energy


def noisy(rank: int, shape: tuple[int, int], strength: float, noise: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = shape
    left = torch.linalg.qr(torch.randn(rows, rows, generator=generator)).Q[:, :rank]
    right = torch.linalg.qr(torch.randn(columns, columns, generator=generator)).Q[:, :rank]
    return strength * left @ right.T + noise * torch.randn(rows, columns, generator=generator)


@settings(deadline=None, max_examples=25)
@given(
    rank=st.integers(0, 5),
    wide=st.booleans(),
    noise=st.sampled_from([1e-3, 0.1, 5.0]),
    seed=st.integers(0, 100),
)
def test_finds_the_rank_that_was_planted(rank: int, wide: bool, noise: float, seed: int) -> None:
    """Signals three times as strong as the largest singular value of the noise, about σ (√30 + √50)."""
    shape = (30, 50) if wide else (50, 30)
    matrix = noisy(rank, shape, 3 * noise * (30**0.5 + 50**0.5), noise, seed)
    assert vbmf_rank(torch.linalg.svdvals(matrix), shape) == rank


def test_signals_below_the_noise_are_not_seen() -> None:
    matrix = noisy(5, (60, 80), 0.5, 1.0, 0)
    assert vbmf_rank(torch.linalg.svdvals(matrix), (60, 80)) == 0
    assert vbmf_rank(torch.zeros(4), (4, 9)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_noise_is_where_the_free_energy_is_least(seed: int) -> None:
    values = np.linalg.svd(noisy(4, (20, 35), 60.0, 2.0, seed).numpy(), compute_uv=False).astype(np.float64)
    alpha = 20 / 35
    tau = 2.5129 * alpha**0.5
    edge = (1 + tau) * (1 + alpha / tau)
    found = _noise(values, 20, 35, edge)
    everywhere = np.geomspace(1e-3, 1e3, 20001)
    energies = [free_energy(values, variance, 20, 35, edge) for variance in everywhere]
    assert found == pytest.approx(everywhere[int(np.argmin(energies))], rel=2e-3)
    assert found == pytest.approx(4.0, rel=0.15)  # σ² of what was added


def test_counts_must_fit() -> None:
    with pytest.raises(DataError, match="has 3 singular values, found 2"):
        vbmf_rank(torch.ones(2), (3, 5))
