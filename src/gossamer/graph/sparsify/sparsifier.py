"""Removes edges of a graph: what every way to do it has in common.

A sparsifier ranks or draws the links of a graph (`graph.links`), so that undirected graphs stay undirected and self
loops stay. How much is removed is a fraction of the links. All chance comes from a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.errors import SettingError
from gossamer.graph.graph import Graph
from gossamer.graph.links import Links
from gossamer.settings import Settings


@dataclass(frozen=True, eq=False)
class Chosen:
    """Which links stay, (L,) booleans, and what their weights are multiplied by, (L,), or None for 1."""

    keep: Tensor
    factor: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Sparsifier(Settings):
    """A family: which links stay."""

    def choose(self, links: Links, removed: float, *, seed: int) -> Chosen:
        """Chooses among the links of a graph.

        Args:
            links: At least one.
            removed: The fraction to remove, in (0, 1).
            seed: Of whatever is drawn.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define choose()")


@dataclass(frozen=True, eq=False)
class Sparsified:
    """A graph with fewer edges, and how it came about.

    Attributes:
        graph: The same nodes, the edges that stay; reweighted where the sparsifier says so.
        keep: (E,) booleans: the edges of the graph that came in which stay.
        removed: The fraction of the links that is gone; the sparsifier may not meet exactly what was asked for.
        isolated: How many nodes have lost their last link.
        by, seed: What chose, and the seed of its chance.
    """

    graph: Graph
    keep: Tensor
    removed: float
    isolated: int
    by: Sparsifier
    seed: int


def sparsify(graph: Graph, by: Sparsifier, removed: float, *, seed: int = 0) -> Sparsified:
    """Removes a fraction of the links of a graph.

    Args:
        graph: Directed or not, weighted or not. An undirected one stays undirected; self loops stay.
        by: How links are chosen.
        removed: The fraction of the links to remove, in [0, 1).
        seed: Of whatever is drawn, in [0, 2^63).

    Raises:
        SettingError: `removed` is out of range.
        DataError: The sparsifier does not take this graph, for example one with negative weights.

    >>> from gossamer.graph import power_law
    >>> from gossamer.graph.sparsify import LocalDegree
    >>> graph = power_law(100, 400, seed=0)
    >>> sparsify(graph, LocalDegree(), 0.5).graph.num_edges / graph.num_edges
    0.5
    """
    if not 0.0 <= removed < 1.0:
        raise SettingError(f"removed is {removed}; expected a fraction of the links in [0, 1)")
    links = Links.of(graph)
    if not len(links) or removed == 0.0:
        keep = torch.ones(graph.num_edges, dtype=torch.bool, device=graph.device)
        return Sparsified(graph, keep, 0.0, 0, by, seed)
    chosen = by.choose(links, removed, seed=seed)
    keep = links.edges(chosen.keep)
    weights = None
    if chosen.factor is not None:
        factor = torch.cat([chosen.factor, chosen.factor.new_ones(1)])[links.of_edge][keep]
        weights = graph.adjacency.to_values()[keep] * factor.to(graph.adjacency.dtype)
    return Sparsified(
        graph=graph.with_edges(keep, weights),
        keep=keep,
        removed=1.0 - float(chosen.keep.double().mean()),
        isolated=isolated(links, chosen.keep),
        by=by,
        seed=seed,
    )


def isolated(links: Links, keep: Tensor) -> int:
    """Returns how many nodes have a link, but none that stays."""
    before, after = (torch.zeros(links.num_nodes, dtype=torch.bool, device=keep.device) for _ in range(2))
    for ends in (links.source, links.target):
        before[ends] = True
        after[ends[keep]] = True
    return int((before & ~after).sum())


def kept(count: int, removed: float) -> int:
    """Returns how many of `count` links stay when a fraction is removed: (1 − removed) · count, rounded up.

    >>> kept(10, 0.7), kept(11, 0.7)
    (3, 4)
    """
    return math.ceil(round((1.0 - removed) * count, 6))


def highest(score: Tensor, count: int, *, seed: int) -> Tensor:
    """Returns booleans (L,) of exactly `count` highest scores; which of equal ones is left to chance."""
    draw = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(score), generator=draw).to(score.device)
    order = shuffled[torch.argsort(score[shuffled], descending=True, stable=True)]
    keep = torch.zeros(len(score), dtype=torch.bool, device=score.device)
    keep[order[:count]] = True
    return keep
