"""Explores a graph from hub to hub and keeps the links it crosses.

Voudigari, Salamanos, Papageorgiou & Yannakoudakis, "Rank degree: an efficient algorithm for graph sampling", ASONAM
2016. From some random nodes, each crosses its links to the share ρ of its neighbours with the highest degrees; the
nodes reached are those that go on. Links that are crossed are gone from the graph that is explored, so degrees fall.
Where nobody is left to go on, random nodes start anew. There exploring ends with enough nodes, here with enough links.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from gossamer.graph.links import Links
from gossamer.graph.sparsify.sparsifier import Chosen, Sparsifier, kept
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class RankDegree(Sparsifier):
    """Keeps the links that lead from hub to hub; nodes that are never reached lose all of theirs."""

    name = "rank-degree"
    share: float = bounded(0.1, gt=0.0, le=1.0)  # of its neighbours that a node goes on to; at least one
    seeds: float = bounded(0.01, gt=0.0, le=1.0)  # fraction of the nodes that start; at least one

    def choose(self, links: Links, removed: float, *, seed: int) -> Chosen:
        """Explores until as many links are crossed as are to stay."""
        matrix = links.both_ways()
        indptr, neighbour = matrix.indptr.tolist(), matrix.indices.cpu().numpy()
        number = matrix.to_values().cpu().numpy().astype(np.int64)
        degree = links.degrees().cpu().numpy().copy()
        draw = np.random.default_rng(seed)
        starts = max(round(self.seeds * links.num_nodes), 1)
        keep = np.zeros(len(links), dtype=bool)
        wanted = kept(len(links), removed)
        going: list[int] = []
        while wanted:
            if not going:
                alive = np.flatnonzero(degree)
                going = draw.choice(alive, min(starts, len(alive)), replace=False).tolist()
            crossed: list[int] = []  # this round's links, which stay in the explored graph until it ends
            reached: dict[int, None] = {}
            for node in going:
                mine = np.arange(indptr[node], indptr[node + 1])
                mine = mine[~keep[number[mine]]]
                best = mine[np.argsort(-degree[neighbour[mine]], kind="stable")]
                best = best[: max(math.ceil(self.share * len(mine)), 1)]
                crossed += number[best].tolist()
                reached |= dict.fromkeys(neighbour[best].tolist())
            fresh = list(dict.fromkeys(crossed))[:wanted]
            keep[fresh] = True
            wanted -= len(fresh)
            for ends in (links.source, links.target):
                np.subtract.at(degree, ends.cpu().numpy()[fresh], 1)
            going = [node for node in reached if degree[node]]
        return Chosen(torch.from_numpy(keep).to(links.source.device))
