"""Which layer gives up how much rank, so that the network as a whole reaches a sparsity.

Each layer may stay as it is or take any ranks that cost less. Of these choices only those on the lower convex hull of
loss against cost matter: going down along it, each step gives up the rank units that lose least for what they save.
`LeastError` takes the steps of all layers in the order of that ratio until few enough weights are left, the greedy
solution of a knapsack with one choice a layer (Sinha & Zoltners, "The multiple-choice knapsack problem", Operations
Research, 1979); the last step stops at the first ranks that are low enough. Factorising at all has a price, since at a
high rank the factors outweigh the layer: the hull knows, and jumps over such ranks.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gossamer.factorize.decomposition import Decomposition, Shape
from gossamer.settings import Settings

Ratio = Literal["parameter", "mac"]
_NOTHING = 1e-12  # a relative squared error that is rounding
_TRIED = 1 << 20  # combinations of ranks of a layer; where there are more, the higher ranks are tried in larger steps


@dataclass(frozen=True)
class Choice:
    """What one layer may become.

    Attributes:
        weights: How many weights it then has.
        cost: The same, or multiply-accumulates, whichever loss is weighed against.
        error: What it loses, of the whole.
        how: The decomposition; None leaves the layer as it is.
        ranks: Its ranks.
    """

    weights: int
    cost: float
    error: float
    how: Decomposition | None = None
    ranks: tuple[int, ...] = ()


Choices = Sequence[Choice]
"""Of one layer, from the dearest to the cheapest; each loses more than those before it."""


@dataclass(frozen=True, kw_only=True)
class Allocation(Settings):
    """A family: what each layer becomes."""

    def choose(self, layers: Sequence[Choices], budget: int) -> list[Choice]:
        """Returns a choice for each layer, together within the budget; the cheapest of all where that is out of reach.

        Args:
            layers: What each layer may become.
            budget: How many weights they may have together.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define choose()")


@dataclass(frozen=True, kw_only=True)
class LeastError(Allocation):
    """Where a parameter, or a multiply-accumulate, is saved for the least relative error.

    By multiply-accumulates, ranks that save none of them are not taken; with sparse features those may be all ranks.
    """

    name = "least-error"
    per: Ratio = "parameter"

    def choose(self, layers: Sequence[Choices], budget: int) -> list[Choice]:
        """Goes down the hulls of all layers together."""
        hulls = [hull(choices) for choices in layers]
        chosen = [one[0] for one in hulls]
        left = sum(choice.weights for choice in chosen)
        steps = [(_slope(one[0], one[1]), layer, 1) for layer, one in enumerate(hulls) if len(one) > 1]
        heapq.heapify(steps)
        while left > budget and steps:
            _, layer, place = heapq.heappop(steps)
            before, after = chosen[layer], hulls[layer][place]
            others = left - before.weights
            enough = [one for one in layers[layer] if after.error > one.error and others + one.weights <= budget]
            chosen[layer] = min([after, *enough], key=lambda one: (others + one.weights > budget, one.error))
            left = others + chosen[layer].weights
            if place + 1 < len(hulls[layer]):
                heapq.heappush(steps, (_slope(after, hulls[layer][place + 1]), layer, place + 1))
        return chosen


@dataclass(frozen=True, kw_only=True)
class Uniform(Allocation):
    """The same fraction of its weights in every layer, or the least it can have where that is more."""

    name = "uniform"

    def choose(self, layers: Sequence[Choices], budget: int) -> list[Choice]:
        """Takes in each layer the best choice within its share."""
        share = budget / max(1, sum(choices[0].weights for choices in layers))
        return [
            next((one for one in choices if one.weights <= share * choices[0].weights), choices[-1])
            for choices in layers
        ]


def choices_of(
    shape: Shape,
    places: Sequence[float],
    ways: Sequence[tuple[Decomposition, Sequence[Tensor], Sequence[int]]],
    *,
    per: Ratio,
    ceiling: bool,
) -> Choices:
    """Returns what a layer may become: nothing, or whatever saves weights and costs less than all that loses less.

    Args:
        shape: Of its weight.
        places: As `Decomposition.macs` takes them.
        ways: Decompositions with their losses at each rank and the highest ranks they may take.
        per: What a loss is weighed against.
        ceiling: Whether to begin with the highest ranks, where they save weights, and not with the layer as it is.
    """
    size = math.prod(shape)
    kernel = places[-1] if len(shape) > 2 else places[0]  # a linear layer multiplies what its input holds
    dense = Choice(size, float(size * kernel) if per == "mac" else float(size), 0.0)
    found: list[Choice] = []
    starts: list[Choice] = []
    for how, tails, highest in ways:
        ranks = np.meshgrid(*_grid(highest), indexing="ij")
        weights = how.weights(shape, ranks).ravel()
        cost = (how.macs(shape, ranks, places) if per == "mac" else how.weights(shape, ranks)).ravel()
        whole = max(float(tails[0][0]), 1e-300)
        lost = np.stack([np.asarray(tail)[rank] for tail, rank in zip(tails, ranks, strict=True)])
        loss = lost.sum(0).ravel() / whole
        loss[loss < _NOTHING] = 0.0
        saves = (weights < size) & (cost < dense.cost)
        mine = [
            Choice(int(weights[i]), float(cost[i]), float(loss[i]), how, tuple(int(rank.ravel()[i]) for rank in ranks))
            for i in _pareto(cost, loss, np.flatnonzero(saves))
        ]
        found += mine
        if saves[-1]:  # at the highest ranks
            starts.append(mine[0])
    best = [found[i] for i in _pareto(_field(found, "cost"), _field(found, "error"), np.arange(len(found)))]
    start = min(starts, key=lambda one: one.cost) if ceiling and starts else dense
    return [start, *(one for one in best if one.cost < start.cost and one.error >= start.error)]


def _grid(highest: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Returns the ranks that are tried, the highest among them: all, or so many that grow alike by a factor.

    >>> [len(ranks) for ranks in _grid((64, 100))], [len(ranks) for ranks in _grid((64, 900, 900))]
    ([64, 100], [37, 75, 75])
    """
    if math.prod(highest) <= _TRIED:
        return [np.arange(1, most + 1) for most in highest]
    count = int(_TRIED ** (1.0 / len(highest)))
    return [np.unique(np.geomspace(1, most, min(most, count)).round().astype(np.int64)) for most in highest]


def hull(choices: Choices) -> list[Choice]:
    """Returns the choices on the lower convex hull of error against cost, from the dearest to the cheapest.

    >>> [one.error for one in hull([Choice(9, 9, 0.0), Choice(8, 8, 0.5), Choice(4, 4, 0.6), Choice(2, 2, 1.0)])]
    [0.0, 0.6, 1.0]
    """
    kept: list[Choice] = []
    for one in choices:
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) >= _slope(kept[-1], one):
            kept.pop()
        kept.append(one)
    return kept


def _slope(before: Choice, after: Choice) -> float:
    return (after.error - before.error) / (before.cost - after.cost)


def _field(choices: Sequence[Choice], name: str) -> npt.NDArray[np.float64]:
    return np.array([getattr(one, name) for one in choices], dtype=np.float64)


def _pareto(
    cost: npt.NDArray[np.float64], loss: npt.NDArray[np.float64], among: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Returns the places, among some, where all that costs less loses more, from the dearest to the cheapest."""
    order = among[np.lexsort((loss[among], cost[among]))]
    losses = loss[order]
    least = np.minimum.accumulate(losses)
    better = np.concatenate([[True], losses[1:] < least[:-1]]) if len(order) else np.zeros(0, dtype=bool)
    kept: npt.NDArray[np.int64] = order[better][::-1]
    return kept
