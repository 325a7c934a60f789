"""Draws links by their effective resistance, so that the graph's quadratic form, and with it its spectrum, is kept.

    p_e ∝ w_e R_e;   q draws with replacement;   w̃_e = w_e · (times e was drawn) / (q p_e)

Spielman & Srivastava, "Graph sparsification by effective resistances", SIAM J. Comput. 40(6), 2011, algorithm 1. The
Laplacian of the result is that of the graph in expectation, whatever q; with q = O(n log n / ε²) draws,
(1 − ε) xᵀLx ≤ xᵀL̃x ≤ (1 + ε) xᵀLx for all x with high probability. Here q is chosen so that the expected number of
different links is the one asked for; the number found is near it. Estimated resistances (`projections`) cost a
constant factor in q and keep the expectation exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gossamer.graph.links import Links
from gossamer.graph.sparsify.resistances import effective_resistances
from gossamer.graph.sparsify.sparsifier import Chosen, Sparsifier, kept
from gossamer.settings import bounded

_MOST_DRAWS = 2.0**62


@dataclass(frozen=True, kw_only=True)
class Spectral(Sparsifier):
    """Keeps what no other path can replace, and reweights it; for undirected graphs with positive weights."""

    name = "spectral"
    projections: int | None = bounded(None, ge=1)  # of estimated resistances; None: exact ones up to 4096 nodes
    rescale: bool = True  # False keeps the edges' own weights, for networks that take none

    def choose(self, links: Links, removed: float, *, seed: int) -> Chosen:
        """Draws q links, and weighs each by how often it came.

        Raises:
            DataError: The graph is directed, or a weight is not positive.
        """
        resistances = effective_resistances(links, projections=self.projections, seed=seed)
        chance = (links.weight.double() * resistances).cpu().numpy()
        chance /= chance.sum()
        draws = expected_draws(chance, kept(len(links), removed))
        times = np.random.default_rng(seed).multinomial(draws, chance)
        factor = torch.from_numpy(times / (draws * chance)).to(links.source.device)
        return Chosen(factor > 0, factor if self.rescale else None)


def expected_draws(chance: np.ndarray[Any, Any], count: int) -> int:
    """Returns after how many draws with replacement `count` different items are expected, at least 1.

    Args:
        chance: (L,) the chance of each item, summing to 1.
        count: In [1, L].
    """
    low, high, wanted = 1.0, 2.0, min(count, len(chance) - 0.5)  # all of them are never certain
    never = np.log1p(-np.minimum(chance, 1.0 - 1e-16))

    def found(draws: float) -> float:
        return float(-np.expm1(draws * never).sum())

    while found(high) < wanted and high < _MOST_DRAWS:
        low, high = high, 2.0 * high
    while high - low > 0.5:
        middle = (low + high) / 2.0
        if middle in {low, high}:
            break
        low, high = (middle, high) if found(middle) < wanted else (low, middle)
    return round(high)
