"""Random walks on a graph: uniform, biased as node2vec's, and forward in time.

Every walk has its own random numbers, named by the seed and its place among the starts, so that walks are the same for
every number of threads. Walks follow edges from source to target and are padded with -1 where they end early.
"""

from __future__ import annotations

import enum
import math

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.graph.csr import sort_coordinates
from gossamer.graph.graph import Graph
from gossamer.kernels.random import stream_key
from gossamer.kernels.walks import Trace, Walk, walk_node2vec, walk_temporal, walk_uniform


def from_every_node(graph: Graph, per_node: int) -> Tensor:
    """Returns every node `per_node` times, (per_node · N,) int64: all nodes once, then again."""
    if per_node < 1:
        raise SettingError(f"per_node: found {per_node}; expected at least 1")
    return torch.arange(graph.num_nodes).repeat(per_node)


class Walker:
    """Walks along edges, each as likely as its weight says, with node2vec's bias.

    Grover & Leskovec, "node2vec: Scalable feature learning for networks", KDD 2016, section 3.2. A walk that came
    from t to v goes on to x in proportion to the weight of (v, x), times 1/p if x is t, 1 if there is an edge from t
    to x, else 1/q. With p = q = 1 every step is of first order. On a directed graph "an edge from t to x" is our
    reading of the paper's distance of 1.

    Args:
        graph: On the CPU; edges of weight 0 are never taken.
        p: How much a walk avoids to turn back, above 0.
        q: How much a walk avoids to leave the neighbourhood, above 0.
        weighted: Whether weights count; otherwise all edges are alike.

    Raises:
        DataError: A weight is negative or not finite.
        SettingError: p or q is out of range.
    """

    def __init__(self, graph: Graph, *, p: float = 1.0, q: float = 1.0, weighted: bool = True) -> None:
        if not (0 < p < math.inf and 0 < q < math.inf):
            raise SettingError(f"Walker: p={p}, q={q}; expected both above 0 and finite")
        self.p, self.q = p, q
        adjacency = graph.adjacency
        weights = check_weights(graph.weights) if weighted and graph.weights is not None else None
        kept = torch.arange(adjacency.nnz) if weights is None else weights.nonzero().squeeze(1)
        source, target = adjacency.indices[kept].long(), adjacency.rows[kept]
        self._indptr, order = sort_coordinates(source, target, shape=adjacency.shape)
        self._edges = kept[order]
        self._indices = target[order].to(adjacency.indices.dtype)
        self._sums = None if weights is None else running_sums(self._indptr, weights[self._edges])

    def walk(self, starts: Tensor, steps: int, *, seed: int = 0) -> Tensor:
        """Returns the nodes of a walk from each start, (W, steps + 1) int64.

        Args:
            starts: (W,) nodes.
            steps: Of each walk, at least 0.
            seed: Says which walks.

        Raises:
            DataError: A start is no node.
            SettingError: `steps` is negative.
        """
        return self._walk(starts, steps, seed, traced=False)[0]

    def trace(self, starts: Tensor, steps: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Returns nodes as `walk`, and the edges taken, (W, steps), numbered as in the graph's adjacency."""
        nodes, positions = self._walk(starts, steps, seed, traced=True)
        return nodes, _edge_numbers(self._edges, positions)

    def _walk(self, starts: Tensor, steps: int, seed: int, *, traced: bool) -> Trace:
        starts = check_starts(starts, len(self._indptr) - 1, steps)
        walk = Walk(self._indptr, self._indices, self._sums, starts, steps, stream_key(seed), traced)
        return walk_uniform(walk) if self.p == self.q == 1.0 else walk_node2vec(walk, self.p, self.q)


class Bias(enum.Enum):
    """Which of the later edges a walk in time prefers: P(edge at t) for a walk at time s, Δ the span of the row."""

    LATE = "late"  # in proportion to exp((t - s) / Δ)
    SOON = "soon"  # in proportion to exp(-(t - s) / Δ)
    NONE = "none"  # all alike


class TemporalWalker:
    """Walks whose edges are ever later: each strictly after the one before.

    Talati et al., "A deep dive into understanding the random walk-based temporal graph learning", IISWC 2021. A walk at
    node v and time s goes on along the edges (v, x, t) with t > s, with the probabilities of `Bias`, where Δ is the
    largest minus the smallest time among all edges that leave v; where Δ is 0, all are alike. As in the paper's
    code a walk starts at the earliest time of the graph, so that edges of that very time are never its first.

    Ours: since s is the same for all candidates it cancels, so that an edge's score is computed once; a uniform
    proposal is then accepted with probability exp(score - best) ≥ 1/e. Where the candidates after an edge begin is
    computed once too.

    Args:
        graph: On the CPU, with times in `edge_data`; parallel edges are different candidates.
        times: Their name.
        bias: Which edges are preferred.

    Raises:
        DataError: There are no such times, or one is not finite.
    """

    def __init__(self, graph: Graph, *, times: str = "time", bias: Bias = Bias.LATE) -> None:
        adjacency, time = graph.adjacency, check_times(graph, times)
        source, target = adjacency.indices.long(), adjacency.rows
        self._moments, rank = torch.unique(time, return_inverse=True)
        self._span = max(len(self._moments), 1)
        key = source * self._span + rank
        self._key, self._edges = torch.sort(key, stable=True)
        self._indices = target[self._edges].to(adjacency.indices.dtype)
        self._indptr = torch.zeros(graph.num_nodes + 1, dtype=torch.int64)
        self._indptr[1:] = torch.bincount(source, minlength=graph.num_nodes).cumsum(0)
        self._later = self._after(target[self._edges], rank[self._edges])
        self._first = self._after(torch.arange(graph.num_nodes), torch.zeros(graph.num_nodes, dtype=torch.int64))
        self._falling = bias is Bias.SOON
        self._scores = None if bias is Bias.NONE else self._score(time[self._edges])

    def walk(self, starts: Tensor, steps: int, *, after: Tensor | None = None, seed: int = 0) -> Tensor:
        """Returns the nodes of a walk from each start, (W, steps + 1) int64.

        Args:
            starts: (W,) nodes.
            steps: The most edges of a walk, at least 0.
            after: (W,) times after which each walk starts; by default the earliest of the graph.
            seed: Says which walks.

        Raises:
            DataError: A start is no node, or there is not one time a start.
            SettingError: `steps` is negative.
        """
        return self._walk(starts, steps, after, seed, traced=False)[0]

    def trace(self, starts: Tensor, steps: int, *, after: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Returns nodes as `walk`, and the edges taken, (W, steps), numbered as in the graph's adjacency."""
        nodes, positions = self._walk(starts, steps, after, seed, traced=True)
        return nodes, _edge_numbers(self._edges, positions)

    def _walk(self, starts: Tensor, steps: int, after: Tensor | None, seed: int, *, traced: bool) -> Trace:
        starts = check_starts(starts, len(self._indptr) - 1, steps)
        if after is None:
            first = self._first[starts]
        elif after.shape == starts.shape:
            first = self._after(
                starts, torch.searchsorted(self._moments, after.to(self._moments.dtype), right=True) - 1
            )
        else:
            raise DataError(f"after: shape {tuple(after.shape)}; expected {tuple(starts.shape)}, one time a start")
        walk = Walk(self._indptr, self._indices, None, starts, steps, stream_key(seed), traced)
        return walk_temporal(walk, first, self._later, self._scores, falling=self._falling)

    def _after(self, node: Tensor, rank: Tensor) -> Tensor:
        """Returns where, in the row of each node, edges of a higher rank begin."""
        return torch.searchsorted(self._key, node * self._span + rank, right=True)

    def _score(self, time: Tensor) -> Tensor:
        begin, end = self._indptr[:-1], self._indptr[1:]
        filled = begin < end
        first, last = torch.zeros(len(begin), dtype=torch.float64), torch.zeros(len(begin), dtype=torch.float64)
        first[filled], last[filled] = time[begin[filled]].double(), time[end[filled] - 1].double()
        count = end - begin
        width = torch.where(last > first, last - first, 1.0).repeat_interleave(count)
        if self._falling:
            return (first.repeat_interleave(count) - time.double()) / width
        return (time.double() - last.repeat_interleave(count)) / width


def running_sums(bounds: Tensor, weights: Tensor) -> Tensor:
    """Returns the sums of weights, float64, from the start of each range up to and with each entry."""
    sums = np.empty(len(weights))
    values, ends = weights.double().numpy(), bounds.numpy()
    # Summed range by range: a total over all ranges would lose the digits of light ones.
    filled = np.flatnonzero(np.diff(ends))
    for begin, end in zip(ends[filled], ends[filled + 1], strict=True):
        np.cumsum(values[begin:end], out=sums[begin:end])
    return torch.from_numpy(sums)


def check_weights(weights: Tensor) -> Tensor:
    """Returns weights as float64 without history; raises `DataError` unless all are finite and at least 0."""
    weights = weights.detach().double()
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise DataError("weights: found a negative one or one that is not finite; expected numbers of at least 0")
    return weights


def check_times(graph: Graph, name: str) -> Tensor:
    """Returns (E,) the times of a graph's edges; raises `DataError` where there are none or one is not finite."""
    time = graph.edge_data.get(name)
    if time is None:
        raise DataError(f"edge_data: holds {sorted(graph.edge_data)}; expected {name!r}, the time of each edge")
    if time.dim() != 1 or not bool(torch.isfinite(time).all()):
        raise DataError(f"edge_data[{name!r}]: expected one finite time an edge, found shape {tuple(time.shape)}")
    return time


def check_starts(starts: Tensor, nodes: int, steps: int = 0, *, name: str = "starts") -> Tensor:
    """Returns starts as int64; raises where one is no node or `steps` is negative."""
    if steps < 0:
        raise SettingError(f"steps: found {steps}; expected at least 0")
    if starts.dim() != 1 or starts.dtype.is_floating_point or starts.dtype == torch.bool:
        raise DataError(
            f"{name}: found {starts.dtype} of shape {tuple(starts.shape)}; expected integers, one dimension"
        )
    if len(starts) and not 0 <= int(starts.min()) <= int(starts.max()) < nodes:
        worst = int(starts.min()) if int(starts.min()) < 0 else int(starts.max())
        raise DataError(f"{name}: holds node {worst}; expected 0 to {nodes - 1}")
    return starts.to(torch.int64).contiguous()


def _edge_numbers(edges: Tensor, positions: Tensor | None) -> Tensor:
    assert positions is not None  # a traced walk has them
    # Place -1 leads to the -1 at the end.
    return torch.cat([edges, edges.new_full((1,), -1)])[positions]
