"""Leads random walks natively: first order, second order (node2vec), and forward in time.

Plain functions, as the samplers are; each has a reference in numpy that gives exactly the same walks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.library import index_error
from gossamer.kernels.random import Array, Streams
from gossamer.kernels.sampling import lower_bound

Trace = tuple[Tensor, Tensor | None]


@dataclass(frozen=True, eq=False)
class Walk:
    """Walks to be made over edges in rows, one a node that they leave."""

    indptr: Tensor  # (N + 1,) int64
    indices: Tensor  # (E,) int32 or int64
    weights: Tensor | None  # (E,) float64, running sums of weights within a row; None for edges that are all alike
    starts: Tensor  # (W,) int64 in [0, N)
    steps: int
    key: int
    traced: bool = True  # whether the edges taken are wanted


def walk_uniform(walk: Walk) -> Trace:
    """Takes every edge in proportion to its weight.

    Returns:
        Nodes (W, steps + 1) and the positions of the edges taken (W, steps), int64, -1 after the end of a walk; None
        in place of the positions of a walk that is not traced.

    Raises:
        DataError: A node is outside [0, N).
    """
    module = native.kernels()
    if module is None:
        return walk_node2vec_reference(walk, 1.0, 1.0)
    nodes, positions, handle = _results(module, walk)
    return _checked(walk, module.walk_uniform(handle), nodes, positions)


def walk_node2vec(walk: Walk, p: float, q: float) -> Trace:
    """Takes an edge in proportion to its weight, 1/p of it on the way back, 1/q to nodes not joined to the last.

    Indices ascend within a row. Returns and raises as `walk_uniform`.
    """
    module = native.kernels()
    if module is None:
        return walk_node2vec_reference(walk, p, q)
    nodes, positions, handle = _results(module, walk)
    return _checked(walk, module.walk_node2vec(handle, p, q), nodes, positions)


def walk_temporal(walk: Walk, first: Tensor, later: Tensor, scores: Tensor | None, *, falling: bool) -> Trace:
    """Walks forward in time over edges that ascend by time within a row.

    Args:
        walk: What to walk; its weights are not used.
        first: (W,) int64: from where in its row a walk's first edge is taken.
        later: (E,) int64: from where in the next row the edge after this one is taken.
        scores: (E,) float64: an edge is taken in proportion to their exponential; within a row they rise or fall
            and span at most 1. None for edges that are all alike.
        falling: Whether scores fall within a row.

    Returns and raises as `walk_uniform`.
    """
    module = native.kernels()
    if module is None:
        return walk_temporal_reference(walk, first, later, scores, falling=falling)
    nodes, positions, handle = _results(module, walk)
    score = 0 if scores is None else scores.data_ptr()
    inside = module.walk_temporal(handle, first.data_ptr(), later.data_ptr(), score, falling)
    return _checked(walk, inside, nodes, positions)


def walk_growing(walk: Walk, counts: Tensor, times: Tensor, *, after: float, bias: int) -> Trace:
    """Walks forward in time over rows that have room behind their edges.

    Args:
        walk: What to walk; of its row bounds only where each row begins counts.
        counts: (N,) int64: the edges of each row.
        times: (E,) float64, ascending within a row.
        after: Walks take edges later than this.
        bias: Above 0 prefers late edges, below 0 early ones, 0 neither; the laws are those of `walk_temporal`.

    Returns and raises as `walk_uniform`.
    """
    module = native.kernels()
    if module is None:
        return walk_growing_reference(walk, counts, times, after=after, bias=bias)
    nodes, positions, handle = _results(module, walk)
    return _checked(
        walk, module.walk_growing(handle, counts.data_ptr(), times.data_ptr(), after, bias), nodes, positions
    )


def walk_node2vec_reference(walk: Walk, p: float, q: float) -> Trace:
    """The numpy reference of `walk_node2vec`, and with p = q = 1 of `walk_uniform`, number for number."""
    indptr, indices = walk.indptr.numpy(), walk.indices.numpy().astype(np.int64)
    sums = None if walk.weights is None else walk.weights.numpy()
    count = len(indptr) - 1
    rows = np.repeat(np.arange(count), np.diff(indptr))
    pairs = rows * count + indices  # ascending, so that a pair is found by bisection
    back, away = 1.0 / p, 1.0 / q
    most, least = max(back, 1.0, away), min(back, 1.0, away)
    first_order = p == q == 1.0

    def choose(streams: Streams, walks: Array, node: Array, before: Array, edge: Array) -> Array:
        edge = np.full(len(node), -1)
        begin, end = indptr[node], indptr[node + 1]
        open_ = np.flatnonzero(begin < end)
        while len(open_):
            low, high = begin[open_], end[open_]
            if sums is None:
                proposal = low + streams.below(walks[open_], high - low)
            else:
                aim = streams.uniform(walks[open_]) * sums[high - 1]
                proposal = np.minimum(lower_bound(sums, low, high, np.nextafter(aim, np.inf)), high - 1)
            edge[open_] = proposal
            if first_order:
                break
            second = before[open_] >= 0
            open_, proposal = open_[second], proposal[second]
            aim = streams.uniform(walks[open_]) * most
            joined = np.isin(before[open_] * count + indices[proposal], pairs)
            share = np.where(indices[proposal] == before[open_], back, np.where(joined, 1.0, away))
            open_ = open_[(aim >= least) & (aim >= share)]
        return edge

    return _walk_reference(walk, choose)


def walk_temporal_reference(walk: Walk, first: Tensor, later: Tensor, scores: Tensor | None, *, falling: bool) -> Trace:
    """The numpy reference of `walk_temporal`, number for number."""
    indptr, start, after = walk.indptr.numpy(), first.numpy(), later.numpy()
    score = None if scores is None else scores.numpy()

    def choose(streams: Streams, walks: Array, node: Array, before: Array, edge: Array) -> Array:
        del before
        begin = start[walks] if (edge < 0).all() else after[edge]  # all walks take their first step together
        end = indptr[node + 1]
        found = np.full(len(node), -1)
        open_ = np.flatnonzero(begin < end)
        while len(open_):
            low, high = begin[open_], end[open_]
            found[open_] = low + streams.below(walks[open_], high - low)
            if score is None:
                break
            loss = score[low if falling else high - 1] - score[found[open_]]
            open_ = open_[streams.uniform(walks[open_]) >= np.exp(-loss)]
        return found

    return _walk_reference(walk, choose)


def walk_growing_reference(walk: Walk, counts: Tensor, times: Tensor, *, after: float, bias: int) -> Trace:
    """The numpy reference of `walk_growing`, number for number."""
    starts, count, time = walk.indptr.numpy(), counts.numpy(), times.numpy()

    def choose(streams: Streams, walks: Array, node: Array, before: Array, edge: Array) -> Array:
        del before
        now = np.where(edge < 0, after, time[edge])
        begin, end = starts[node], starts[node] + count[node]
        first = lower_bound(time, begin, end, np.nextafter(now, np.inf))
        found = np.full(len(node), -1)
        open_ = np.flatnonzero(first < end)
        while len(open_):
            low, high, row = first[open_], end[open_], begin[open_]
            found[open_] = low + streams.below(walks[open_], high - low)
            if bias == 0:
                break
            span = time[high - 1] - time[row]
            width = np.where(span > 0, span, 1.0)
            chosen = time[found[open_]]
            if bias > 0:
                loss = (time[high - 1] - chosen) / width
            else:
                loss = (time[row] - time[low]) / width - (time[row] - chosen) / width
            open_ = open_[streams.uniform(walks[open_]) >= np.exp(-loss)]
        return found

    return _walk_reference(walk, choose)


def _walk_reference(walk: Walk, choose: Any) -> Trace:
    count, bound = len(walk.starts), len(walk.indptr) - 1
    indices = walk.indices.numpy().astype(np.int64)
    if len(indices) and not 0 <= indices.min() <= indices.max() < bound:
        raise index_error("indices", bound)
    nodes, positions = np.full((count, walk.steps + 1), -1), np.full((count, walk.steps), -1)
    nodes[:, 0] = walk.starts.numpy()
    streams = Streams(walk.key, np.arange(count))
    alive = np.arange(count)
    before = np.full(count, -1)
    for s in range(walk.steps):
        edge = positions[alive, s - 1] if s else np.full(len(alive), -1)
        found = choose(streams, alive, nodes[alive, s], before[alive], edge)
        before[alive] = nodes[alive, s]
        alive, found = alive[found >= 0], found[found >= 0]
        positions[alive, s] = found
        nodes[alive, s + 1] = indices[found]
    return torch.from_numpy(nodes), torch.from_numpy(positions) if walk.traced else None


def _results(module: Any, walk: Walk) -> tuple[Tensor, Tensor | None, Any]:
    count = len(walk.starts)
    nodes = torch.empty(count, walk.steps + 1, dtype=torch.int64)
    positions = torch.empty(count, walk.steps, dtype=torch.int64) if walk.traced else None
    handle = module.Walk(
        len(walk.indptr) - 1,
        walk.indptr.data_ptr(),
        walk.indices.data_ptr(),
        walk.indices.itemsize,
        0 if walk.weights is None else walk.weights.data_ptr(),
        walk.starts.data_ptr(),
        count,
        walk.steps,
        walk.key,
        nodes.data_ptr(),
        0 if positions is None else positions.data_ptr(),
        torch.get_num_threads(),
    )
    return nodes, positions, handle


def _checked(walk: Walk, inside: bool, nodes: Tensor, positions: Tensor | None) -> Trace:
    if not inside:
        raise index_error("indices", len(walk.indptr) - 1)
    return nodes, positions
