"""Draws pairs of nodes that no edge joins: exactly uniform, without a single rejection.

Directed pair (s, t) has the number s · N + t. With the edges' numbers sorted and distinct, free number r is found by
one bisection: it is r plus the count of edges whose number, less the edges before it, is at most r. So graphs that are
nearly complete take no longer than sparse ones. Where only some nodes may be drawn, s and t are their places among
these, and N is their number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.graph.graph import Graph
from gossamer.graph.walks import check_starts
from gossamer.kernels.negatives import FreeNumbers, draw_free
from gossamer.kernels.random import stream_key


class NegativeSampler:
    """Draws directed pairs (source, target) that are not edges of a graph.

    For an undirected graph, whose every edge has its reverse, neither direction of a pair is then an edge.

    Args:
        graph: On the CPU, with fewer than 2^31 nodes.
        loops: Whether a node may be paired with itself.
        among: The nodes that pairs are of, int64, in any order and with repeats; None for all.

    Raises:
        DataError: One of `among` is no node.
    """

    def __init__(self, graph: Graph, *, loops: bool = False, among: Tensor | None = None) -> None:
        nodes = graph.num_nodes
        source, target = graph.adjacency.indices.long(), graph.adjacency.rows
        self._among: Tensor | None = None
        self._place: Tensor | None = None
        if among is not None:
            self._among = torch.unique(check_starts(among, nodes, name="among"))
            self._place = torch.full((nodes,), -1)
            nodes = len(self._among)
            self._place[self._among] = torch.arange(nodes)
            source, target = self._place[source], self._place[target]
            inside = (source >= 0) & (target >= 0)
            source, target = source[inside], target[inside]
        numbers = source * nodes + target
        if not loops:
            numbers = torch.cat([numbers, torch.arange(nodes) * (nodes + 1)])
        self._nodes = nodes
        self._taken = torch.unique(numbers)  # sorted
        self._free = FreeNumbers.below(self._taken, nodes * nodes)
        self._begin = torch.searchsorted(self._taken, torch.arange(nodes + 1) * nodes)  # of each source's taken numbers

    def __len__(self) -> int:
        """How many pairs are free."""
        return self._nodes * self._nodes - len(self._taken)

    def pairs(self, count: int, *, seed: int = 0) -> Tensor:
        """Returns `count` pairs, (2, count) int64, sources in row 0; all free pairs are equally likely, with repeats.

        Raises:
            DataError: No pair is free.
            SettingError: `count` is negative.
        """
        if count < 0:
            raise SettingError(f"count: found {count}; expected at least 0")
        if count and not len(self):
            raise DataError(f"every pair of the {self._nodes} nodes is an edge; there is no negative to draw")
        return self._draw(None, torch.full((count,), len(self)), stream_key(seed, 0))

    def free(self, sources: Tensor) -> Tensor:
        """Returns how many targets each source is not joined to, (S,) int64; raises `DataError` as `targets`."""
        places = self._places(sources)
        return self._nodes - (self._begin[places + 1] - self._begin[places])

    def targets(self, sources: Tensor, count: int, *, seed: int = 0) -> Tensor:
        """Returns `count` targets for each source, (S, count) int64; free targets of a source are equally likely.

        Args:
            sources: (S,) nodes; one that is given twice draws anew.
            count: At least 1; targets may repeat.
            seed: Says which draw.

        Raises:
            DataError: A source is no node, or none that pairs are of, or is joined to all of these.
            SettingError: `count` is below 1.
        """
        if count < 1:
            raise SettingError(f"count: found {count}; expected at least 1")
        places = self._places(sources)
        before = self._begin[places]
        free = self._nodes - (self._begin[places + 1] - before)
        if bool((free == 0).any()):
            full = int(sources[free == 0][0])
            raise DataError(f"sources: node {full} is joined to every node; leave it out")
        first = places * self._nodes - before  # the free numbers below a source's own
        first, free = (side.repeat_interleave(count) for side in (first, free))
        return self._draw(first, free, stream_key(seed, 1))[1].view(len(places), count)

    def _places(self, sources: Tensor) -> Tensor:
        """Returns where sources are among the nodes that pairs are of."""
        if self._place is None:
            return check_starts(sources, self._nodes, name="sources")
        places = self._place[check_starts(sources, len(self._place), name="sources")]
        if bool((places < 0).any()):
            raise DataError(f"sources: node {int(sources[places < 0][0])} is not one that pairs are of; leave it out")
        return places

    def _draw(self, first: Tensor | None, bound: Tensor, key: int) -> Tensor:
        pairs = draw_free(self._free, self._nodes, first, bound, key)
        return pairs if self._among is None else self._among[pairs]
