"""Sparsifiers by which each node says how much it wants each of its links.

A node ranks its links, best first, and wants the first few: how few is one number for the whole graph, raised until as
many links stay as are asked for. A link stays if either of its nodes wants it, so no node loses all of its links unless
fewer are asked for than nodes need (on undirected graphs; a directed link is one of both its nodes).

| sparsifier | a node of degree d ranks by | and wants |
|---|---|---|
| `NodeShare` | chance | ⌈c · d⌉ |
| `LocalDegree` | the degree of the neighbour | ⌊d^α⌋ |
| `LSpar` | the Jaccard similarity of the neighbourhoods | ⌈d^e⌉ |

Local degree is of Lindner, Staudt, Hamann, Meyerhenke & Wagner, "Structure-preserving sparsification of social
networks", ASONAM 2015; L-Spar of Satuluri, Parthasarathy & Ruan, "Local graph sparsification for scalable clustering",
SIGMOD 2011. There the exponent is a parameter; here it follows from the fraction to remove, by the smallest exponent at
which each link is wanted. L-Spar's similarities are exact, where the authors estimate them by min-hashing.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.graph.links import Links
from gossamer.graph.sparsify.similarity import jaccard
from gossamer.graph.sparsify.sparsifier import Chosen, Sparsifier, highest, kept


@dataclass(frozen=True, kw_only=True)
class _Local(Sparsifier):
    """The interface of the three."""

    def choose(self, links: Links, removed: float, *, seed: int) -> Chosen:
        """Keeps the links that are wanted first."""
        matrix = links.both_ways()
        number, node = matrix.to_values().long(), matrix.rows  # each link at each of its nodes
        draw = torch.Generator().manual_seed(seed)
        chance = torch.rand(len(number), generator=draw, dtype=torch.float64).to(number.device)
        worth = self._worth(links, node, matrix.indices.long(), number)
        order = torch.argsort(chance)
        order = order[torch.argsort(worth[order], descending=True, stable=True)]
        order = order[torch.argsort(node[order], stable=True)]
        rank = torch.empty_like(number)
        rank[order] = torch.arange(len(number), device=number.device) - matrix.indptr[node] + 1
        wanted = self._wanted(rank.double(), links.degrees()[node].double())
        first = torch.full((len(links),), torch.inf, dtype=torch.float64, device=number.device)
        first = first.scatter_reduce(0, number, wanted, reduce="amin")
        return Chosen(highest(-first, kept(len(links), removed), seed=seed))

    @abstractmethod
    def _worth(self, links: Links, node: Tensor, neighbour: Tensor, number: Tensor) -> Tensor:
        """Returns by what a node ranks its links, higher first, ties by chance; one number for each entry."""

    @abstractmethod
    def _wanted(self, rank: Tensor, degree: Tensor) -> Tensor:
        """Returns the least parameter at which a node of this degree wants its link of this rank, from 1."""


@dataclass(frozen=True, kw_only=True)
class NodeShare(_Local):
    """Every node keeps the same share of its links, chosen at random."""

    name = "node-share"

    def _worth(self, links: Links, node: Tensor, neighbour: Tensor, number: Tensor) -> Tensor:
        del links, neighbour, number
        return torch.zeros_like(node)

    def _wanted(self, rank: Tensor, degree: Tensor) -> Tensor:
        return (rank - 1.0) / degree


@dataclass(frozen=True, kw_only=True)
class LocalDegree(_Local):
    """Every node keeps its links to the nodes of highest degree: hubs, and what leads to them, stay."""

    name = "local-degree"

    def _worth(self, links: Links, node: Tensor, neighbour: Tensor, number: Tensor) -> Tensor:
        del node, number
        return links.degrees()[neighbour]

    def _wanted(self, rank: Tensor, degree: Tensor) -> Tensor:
        return torch.where(rank > 1.0, rank.log() / degree.log(), 0.0)


@dataclass(frozen=True, kw_only=True)
class LSpar(_Local):
    """Every node keeps its links to the nodes that share most neighbours with it: clusters stay."""

    name = "l-spar"

    def _worth(self, links: Links, node: Tensor, neighbour: Tensor, number: Tensor) -> Tensor:
        del node, neighbour
        return jaccard(links)[number]

    def _wanted(self, rank: Tensor, degree: Tensor) -> Tensor:
        # ⌈d^e⌉ reaches rank r ≥ 2 as soon as d^e exceeds r - 1; the first is wanted whatever the exponent.
        return torch.where(rank > 1.0, (rank - 1.0).log() / degree.log().clamp(min=1e-300), -1.0)
