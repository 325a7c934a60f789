"""The rank of a matrix with noise, by variational Bayes in closed form.

An observed matrix (L, M), L ≤ M, is taken as one of low rank plus noise of variance σ². Under the fully factorised
posterior with empirical priors a singular value γ is kept if γ² exceeds M σ² x̄, where

    x̄ = (1 + τ̄)(1 + α/τ̄),   α = L/M,   τ̄ ≈ 2.5129 √α,

and the noise, if it is not known, minimises the free energy, with x_h = γ_h² / (M σ²):

    Σ_h x_h − log x_h + [x_h > x̄] (log(τ(x_h) + 1) + α log(τ(x_h)/α + 1) − τ(x_h)),
    τ(x) = ½ (x − 1 − α + √((x − 1 − α)² − 4α)).

Nakajima, Sugiyama, Babacan & Tomioka, "Global analytic solution of fully-observed variational Bayesian matrix
factorization", JMLR 2013. The minimum over σ² lies between the bounds given there; it is looked for on a logarithmic
grid and then between the neighbours of the best point.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from torch import Tensor

from gossamer.errors import DataError

_GRID = 400


def vbmf_rank(singular: Tensor, shape: tuple[int, int]) -> int:
    """Returns how many singular values stand out from the noise, possibly 0.

    Args:
        singular: (min(shape),), in any order.
        shape: Of the matrix.

    Raises:
        DataError: There are not as many singular values as the shape says.
    """
    small, large = sorted(shape)
    values = np.sort(singular.detach().double().cpu().numpy())[::-1]
    if len(values) != small:
        raise DataError(f"a matrix {shape} has {small} singular values, found {len(values)}")
    if not values.any():
        return 0
    alpha = small / large
    tau = 2.5129 * math.sqrt(alpha)
    edge = (1 + tau) * (1 + alpha / tau)
    return int((values**2 > large * _noise(values, small, large, edge) * edge).sum())


def free_energy(values: npt.NDArray[np.float64], variance: float, small: int, large: int, edge: float) -> float:
    """Returns the free energy of a noise, up to what does not depend on it.

    Args:
        values: Singular values, (small,).
        variance: Of the noise, above 0.
        small: The shorter side of the matrix.
        large: The longer side.
        edge: x̄.
    """
    alpha = small / large
    x = np.maximum(values**2 / (large * variance), 1e-300)
    energy = float((x - np.log(x)).sum())
    above = x[x > edge] - 1 - alpha
    tau = 0.5 * (above + np.sqrt(np.maximum(above**2 - 4 * alpha, 0.0)))
    return energy + float((np.log(tau + 1) + alpha * np.log(tau / alpha + 1) - tau).sum())


def _noise(values: npt.NDArray[np.float64], small: int, large: int, edge: float) -> float:
    """Returns the variance of the noise with the least free energy."""
    squares = values**2
    most = min(math.ceil(small / (1 + small / large)) - 1, small - 1)
    upper = float(squares.sum()) / (small * large)
    lower = max(float(squares[most]) / (large * edge), float(squares[most:].mean()) / large, 1e-12 * upper)
    if lower >= upper:
        return upper
    grid = np.geomspace(lower, upper, _GRID)
    at = int(np.argmin([free_energy(values, variance, small, large, edge) for variance in grid]))
    inside = minimize_scalar(
        lambda log: free_energy(values, math.exp(log), small, large, edge),
        bounds=(math.log(grid[max(at - 1, 0)]), math.log(grid[min(at + 1, _GRID - 1)])),
        method="bounded",
    )
    return math.exp(float(inside.x))
