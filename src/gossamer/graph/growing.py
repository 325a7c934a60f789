"""A temporal graph that grows in place: events are appended, and walked over at once.

Each node has a row of the events that leave it, with room behind them. A row that is full moves to the end of the
memory with twice the room, so that an event costs a constant amount of copying on average; the memory itself doubles
likewise. Events come in order of time, so rows stay sorted by it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph.graph import Graph
from gossamer.graph.walks import Bias, check_starts
from gossamer.kernels.random import stream_key
from gossamer.kernels.walks import Walk, walk_growing

Array = np.ndarray[Any, Any]

_BIAS = {Bias.LATE: 1, Bias.SOON: -1, Bias.NONE: 0}


class GrowingGraph:
    """Directed events, appended in order of time; parallel ones stay apart.

    Args:
        bias: Which edges walks prefer, as of `TemporalWalker`.
    """

    def __init__(self, *, bias: Bias = Bias.LATE) -> None:
        self.bias = bias
        self.num_nodes = self.num_edges = 0
        self.first, self.last = math.inf, -math.inf  # times
        self._begin, self._count, self._room = (
            np.zeros(1, dtype=np.int64) for _ in range(3)
        )  # of rows, spare ones too
        self._ends, self._times = np.zeros(0, dtype=np.int32), np.zeros(1)
        self._used = 0  # of the memory of events

    def extend(self, source: Tensor, target: Tensor, time: Tensor, *, nodes: int = 0) -> None:
        """Appends events.

        Args:
            source: (E,) int64; a node that is new is added, with all below it.
            target: (E,) int64.
            time: (E,) not before any event that is there, ascending.
            nodes: The number of nodes there are afterwards, if more than the events name.

        Raises:
            DataError: Times fall or are not finite, or a node is negative; nothing is then appended.
        """
        left, right, moments = source.numpy(), target.numpy(), time.double().numpy()
        self._check(left, right, moments)
        self._reach(max(nodes, int(max(left.max(initial=-1), right.max(initial=-1))) + 1))
        if not len(left):
            return
        order = np.argsort(left, kind="stable")
        rows, begin, more = np.unique(left[order], return_index=True, return_counts=True)
        full = self._count[rows] + more > self._room[rows]
        self._move(rows[full], self._count[rows[full]] + more[full])
        place = np.arange(len(left)) + np.repeat(self._begin[rows] + self._count[rows] - begin, more)
        self._ends[place], self._times[place] = right[order], moments[order]
        self._count[rows] += more
        self.num_edges += len(left)
        self.first, self.last = min(self.first, float(moments[0])), float(moments[-1])

    def walk(self, starts: Tensor, steps: int, *, seed: int = 0) -> Tensor:
        """Returns walks as those of `TemporalWalker.walk` on the same events, (W, steps + 1) int64.

        Raises:
            DataError: A start is no node.
            SettingError: `steps` is negative.
        """
        starts = check_starts(starts, self.num_nodes, steps)
        begin, count = (torch.from_numpy(part[: self.num_nodes + 1]) for part in (self._begin, self._count))
        ends, times = torch.from_numpy(self._ends), torch.from_numpy(self._times)
        walk = Walk(begin, ends, None, starts, steps, stream_key(seed), traced=False)
        return walk_growing(walk, count, times, after=self.first, bias=_BIAS[self.bias])[0]

    def graph(self) -> Graph:
        """Returns the events as a graph with times."""
        count = self._count[: self.num_nodes]
        source = np.repeat(np.arange(self.num_nodes), count)
        within = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
        place = self._begin[source] + within
        edges = torch.from_numpy(np.stack([source, self._ends[place].astype(np.int64)]))
        time = torch.from_numpy(self._times[place])
        return Graph.from_edge_index(edges, self.num_nodes, edge_data={"time": time})

    def _check(self, source: Array, target: Array, time: Array) -> None:
        if not source.shape == target.shape == time.shape:
            raise DataError(
                f"events: found {len(source)} sources, {len(target)} targets, {len(time)} times; expected as many"
            )
        if not len(source):
            return
        if min(source.min(), target.min()) < 0 or max(source.max(), target.max()) >= 2**31:
            raise DataError("events: hold a node outside 0 to 2^31 - 1; number the nodes from 0")
        if not np.isfinite(time).all() or time[0] < self.last or (np.diff(time) < 0).any():
            raise DataError(f"events: times fall, or come before {self.last:g}, the latest so far; sort them by time")

    def _reach(self, nodes: int) -> None:
        """Makes rows up to `nodes`, and one more, which stays empty."""
        self.num_nodes = max(self.num_nodes, nodes)
        if self.num_nodes >= len(self._count):
            size = max(2 * len(self._count), self.num_nodes + 1)
            self._begin, self._count, self._room = (
                _grown(part, size) for part in (self._begin, self._count, self._room)
            )

    def _move(self, rows: Array, least: Array) -> None:
        """Moves rows to the end of the memory, each with room for at least twice as many."""
        room = 2 * least
        begin = self._used + np.cumsum(room) - room
        self._used += int(room.sum())
        if self._used > len(self._ends):
            size = max(2 * len(self._ends), self._used)
            self._ends, self._times = _grown(self._ends, size), _grown(self._times, size)
        count = self._count[rows]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        old, new = np.repeat(self._begin[rows], count) + within, np.repeat(begin, count) + within
        self._ends[new], self._times[new] = self._ends[old], self._times[old]
        self._begin[rows], self._room[rows] = begin, room


def _grown(values: Array, size: int) -> Array:
    grown: Array = np.zeros(size, dtype=values.dtype)
    grown[: len(values)] = values
    return grown
