"""Draws neighbours of many nodes, numbers what is reached, and takes the rows of a subgraph: natively, in parallel.

These are plain functions and no torch operators: how much they return depends on the data, and they run in the loader
of mini-batches, never inside a network. Each has a reference in numpy that gives exactly the same sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.library import index_error
from gossamer.kernels.random import Array, Streams

UNIFORM, WEIGHTED, LATEST = 0, 1, 2  # ways to choose among the edges of a range
_MOST = 2**31 - 1  # nodes and edges of one sample
_SMALL = 2**20  # a table of so many places costs next to nothing


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges in ranges: those of node v and type t lie from bounds[v · types + t] to the next bound."""

    nodes: int
    types: int
    bounds: Tensor  # (nodes · types + 1,) int64, never falling, from 0
    ends: Tensor  # (E,) int32 or int64, the node that each edge leads to
    weights: Tensor | None = None  # (E,) float64 above 0; where edges may repeat, running sums within a range
    times: Tensor | None = None  # (E,) int64, never falling within a range


@dataclass(frozen=True, eq=False)
class Draw:
    """What is drawn in one hop."""

    edges: Edges
    frontier: Tensor  # (rows,) int64: nodes; with `until`, root · nodes + node
    fanouts: Tensor  # (types,) int64: most edges of a type and row; negative for all
    until: Tensor | None  # (roots,) int64: only edges of an earlier time
    pick: int  # UNIFORM, WEIGHTED or LATEST
    replace: bool
    key: int


class Numbering:
    """Gives numbers to keys in the order in which they first come: 0, 1, 2, ...

    Args:
        span: Keys lie in [0, `span`).
        expected: About how many different ones there will be; decides between a table of all and a hash table.
    """

    def __init__(self, span: int, expected: int) -> None:
        self.count = 0  # keys that have a number
        self._span = span
        self._known: list[Tensor] = []  # those of a hash table, to fill a larger one with
        hashed = span > max(8 * expected, _SMALL)
        self._values, self._keys = _places(min(expected, _SMALL) if hashed else span, hashed=hashed)

    def number(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers keys, (n,) int64; returns their numbers, (n,) int32, and the new keys, in order.

        Raises:
            DataError: There are more nodes and edges than one sample can have.
        """
        self.reserve(len(keys))
        local, fresh = self._number(keys, self.count)
        self.learn(fresh)
        return local, fresh

    def reserve(self, more: int) -> None:
        """Makes room for `more` keys; raises `DataError` where one sample cannot have so many."""
        most = self.count + more
        if most > _MOST:
            raise DataError(f"{most} edges in one sample; expected at most {_MOST}: take fewer seeds or fan-outs")
        if self._keys is None or 2 * min(most, self._span) <= len(self._values):
            return
        self._values, self._keys = _places(2 * min(most, self._span), hashed=True)
        self._number(torch.cat(self._known) if self._known else torch.empty(0, dtype=torch.int64), 0)

    def learn(self, fresh: Tensor) -> None:
        """Counts keys that were given their numbers."""
        self.count += len(fresh)
        if self._keys is not None:
            self._known.append(fresh)

    def places(self) -> tuple[int, int, int]:
        """Returns the table as the kernels take it: addresses of numbers and keys, and the number of places."""
        return self._values.data_ptr(), _address(self._keys), len(self._values)

    def _number(self, keys: Tensor, base: int) -> tuple[Tensor, Tensor]:
        module = native.kernels()
        if module is None:
            return self._number_reference(keys, base)
        local, keys = torch.empty(len(keys), dtype=torch.int32), keys.clone()
        found = module.number_keys(keys.data_ptr(), len(keys), base, *self.places(), local.data_ptr())
        return local, keys[:found]

    def _number_reference(self, keys: Tensor, base: int) -> tuple[Tensor, Tensor]:
        """The numpy reference: a table of all keys, or a sorted list in place of the hash table."""
        distinct, first, inverse = np.unique(keys.numpy(), return_index=True, return_inverse=True)
        if self._keys is None:
            known = self._values.numpy()[distinct].astype(np.int64)
        else:
            before = np.concatenate([part.numpy() for part in self._known]) if self._known and base else distinct[:0]
            order = np.argsort(before)
            place = np.minimum(np.searchsorted(before, distinct, sorter=order), max(len(before) - 1, 0))
            known = np.full(len(distinct), -1)
            if len(before):
                known = np.where(before[order[place]] == distinct, order[place], -1)
        fresh = np.flatnonzero(known < 0)
        fresh = fresh[np.argsort(first[fresh])]
        known[fresh] = base + np.arange(len(fresh))
        if self._keys is None:
            self._values.numpy()[distinct] = known
        return torch.from_numpy(known[inverse].astype(np.int32)), torch.from_numpy(distinct[fresh])


def _places(size: int, *, hashed: bool) -> tuple[Tensor, Tensor | None]:
    """Returns the empty numbers and, for a hash table, keys of a table with at least `size` places."""
    if not hashed:
        return torch.full((size,), -1, dtype=torch.int32), None
    size = 1 << max(size - 1, 1).bit_length()
    return torch.full((size,), -1, dtype=torch.int32), torch.full((size,), -1, dtype=torch.int64)


class Hop(NamedTuple):
    """The edges of one hop, row after row of its frontier."""

    indptr: Tensor  # (rows + 1,) int64
    positions: Tensor  # (total,) int64: places of the edges drawn
    local: Tensor  # (total,) int32: the number of the entry that each leads to
    fresh: Tensor  # (new,) int64: the entries that got their number in this hop, as the frontier writes them


def draw_hop(draw: Draw, numbering: Numbering) -> Hop:
    """Draws edges for every row of a frontier and numbers what they lead to.

    Raises:
        DataError: An edge leads outside [0, nodes), or one sample cannot have so many.
    """
    module = native.kernels()
    if module is None:
        return draw_hop_reference(draw, numbering)
    indptr = torch.empty(draw.frontier.shape[0] + 1, dtype=torch.int64)
    handle = module.Draw(
        draw.edges.nodes,
        draw.edges.types,
        draw.edges.bounds.data_ptr(),
        draw.edges.ends.data_ptr(),
        draw.edges.ends.itemsize,
        _address(draw.edges.weights),
        _address(draw.edges.times),
        draw.frontier.data_ptr(),
        draw.frontier.shape[0],
        _address(draw.until),
        draw.fanouts.data_ptr(),
        draw.pick,
        draw.replace,
        draw.key,
        torch.get_num_threads(),
    )
    module.draw_counts(handle, indptr.data_ptr())
    total = int(indptr[-1])
    numbering.reserve(total)
    positions, fresh = torch.empty(total, dtype=torch.int64), torch.empty(total, dtype=torch.int64)
    local = torch.empty(total, dtype=torch.int32)
    scratch = torch.empty(total, dtype=torch.float64) if draw.pick == WEIGHTED and not draw.replace else None
    found = module.draw_edges(
        handle,
        indptr.data_ptr(),
        numbering.count,
        *numbering.places(),
        positions.data_ptr(),
        local.data_ptr(),
        fresh.data_ptr(),
        _address(scratch),
    )
    if found < 0:
        raise index_error("ends", draw.edges.nodes)
    fresh = fresh[:found]
    numbering.learn(fresh)
    return Hop(indptr, positions, local, fresh)


def draw_hop_reference(draw: Draw, numbering: Numbering) -> Hop:
    """The numpy reference of `draw_hop`, number for number."""
    edges, types = draw.edges, draw.edges.types
    entry = np.repeat(draw.frontier.numpy(), types)  # one for each range
    kind = np.tile(np.arange(types), len(draw.frontier))
    root, node = np.divmod(entry, edges.nodes) if draw.until is not None else (np.zeros_like(entry), entry)
    bounds = edges.bounds.numpy()
    begin, end = bounds[node * types + kind], bounds[node * types + kind + 1]
    if draw.until is not None and edges.times is not None:
        end = lower_bound(edges.times.numpy(), begin, end, draw.until.numpy()[root])
    size, wanted = end - begin, draw.fanouts.numpy()[kind]
    few = np.where(size > 0, wanted, 0) if draw.replace else np.minimum(size, wanted)
    count = np.where(wanted < 0, size, few)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    positions = np.empty(start[-1], dtype=np.int64)
    everything = wanted < 0
    if not draw.replace:
        everything |= (count == size) | (draw.pick == LATEST)
    for place in np.flatnonzero(everything):
        positions[start[place] : start[place + 1]] = np.arange(end[place] - count[place], end[place])
    drawn = np.flatnonzero(~everything & (count > 0))
    choose = _repeated if draw.replace else _by_weight if draw.pick == WEIGHTED else _distinct
    choose(draw, Streams(draw.key, entry * types + kind), drawn, _Ranges(begin, end, count, start), positions)
    ends = edges.ends.numpy()[positions].astype(np.int64)
    if len(ends) and not 0 <= ends.min() <= ends.max() < edges.nodes:
        raise index_error("ends", edges.nodes)
    local, fresh = numbering.number(torch.from_numpy(np.repeat(root * edges.nodes, count) + ends))
    return Hop(torch.from_numpy(start[::types].copy()), torch.from_numpy(positions), local, fresh)


class _Ranges(NamedTuple):
    """Where the edges of each range begin and end, how many are drawn, and where they go."""

    begin: Array
    end: Array
    drawn: Array
    start: Array


def _repeated(draw: Draw, streams: Streams, drawn: Array, ranges: _Ranges, out: Array) -> None:
    begin, end, count, start = ranges
    weights = None if draw.edges.weights is None else draw.edges.weights.numpy()
    for j in range(int(count[drawn].max(initial=0))):
        rows = drawn[count[drawn] > j]
        if draw.pick != WEIGHTED or weights is None:
            out[start[rows] + j] = begin[rows] + streams.below(rows, end[rows] - begin[rows])
            continue
        aim = streams.uniform(rows) * weights[end[rows] - 1]
        above = lower_bound(weights, begin[rows], end[rows], np.nextafter(aim, np.inf))
        out[start[rows] + j] = np.minimum(above, end[rows] - 1)


def _by_weight(draw: Draw, streams: Streams, drawn: Array, ranges: _Ranges, out: Array) -> None:
    begin, end, count, start = ranges
    assert draw.edges.weights is not None
    weights = draw.edges.weights.numpy()
    for row in drawn:
        which = np.array([row])
        rest = np.concatenate([streams.uniform(which) for _ in range(begin[row], end[row])])
        order = np.argsort(-np.log1p(-rest) / weights[begin[row] : end[row]], kind="stable")
        out[start[row] : start[row + 1]] = begin[row] + np.sort(order[: count[row]])


def _distinct(draw: Draw, streams: Streams, drawn: Array, ranges: _Ranges, out: Array) -> None:
    begin, end, count, start = ranges
    size = end - begin
    pass_over = count[drawn] ** 2 > 16 * size[drawn]  # where selection sampling is cheaper than Floyd's algorithm
    for row in drawn[pass_over]:
        which, found, i = np.array([row]), 0, 0
        while found < count[row]:
            if (size[row] - i) * streams.uniform(which)[0] < count[row] - found:
                out[start[row] + found] = begin[row] + i
                found += 1
            i += 1
    floyd = drawn[~pass_over]
    for j in range(int(count[floyd].max(initial=0))):
        rows = floyd[count[floyd] > j]
        last = size[rows] - count[rows] + j
        candidate = begin[rows] + streams.below(rows, last + 1)
        taken = np.zeros(len(rows), dtype=bool)
        for i in range(j):
            taken |= out[start[rows] + i] == candidate
        out[start[rows] + j] = np.where(taken, begin[rows] + last, candidate)


def lower_bound(values: Array, begin: Array, end: Array, aim: Array) -> Array:
    """Returns the first place in [begin, end) whose value is not below `aim`, else `end`; for each range."""
    low, high = begin.copy(), end.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        below = np.zeros_like(open_)
        below[open_] = values[middle[open_]] < aim[open_]
        low = np.where(open_ & below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    return low


def induce(indptr: Tensor, indices: Tensor, nodes: int, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the rows and columns `chosen` of a square pattern, renumbered in their order.

    Args:
        indptr: (N + 1,) int64.
        indices: (E,) int32 or int64 in [0, N).
        nodes: N.
        chosen: (K,) int64, distinct, in [0, N): the caller's word.

    Returns:
        `indptr` (K + 1,) int64, `indices` (E',) int32, and `positions` (E',) int64, the entries that are kept.

    Raises:
        DataError: An index is out of range.
    """
    device = indptr.device
    place = torch.full((nodes,), -1, dtype=torch.int32, device=device)
    place[chosen] = torch.arange(len(chosen), dtype=torch.int32, device=device)
    module = native.kernels()
    if module is None or device.type != "cpu":
        return _induce_reference(indptr, indices, nodes, chosen, place)
    starts = torch.zeros(len(chosen) + 1, dtype=torch.int64)
    shared = (nodes, indptr.data_ptr(), indices.data_ptr(), indices.itemsize, chosen.data_ptr(), len(chosen))
    threads = torch.get_num_threads()
    if not module.induce_counts(*shared, place.data_ptr(), starts[1:].data_ptr(), threads):
        raise index_error("indices", nodes)
    torch.cumsum(starts, 0, out=starts)
    local = torch.empty(int(starts[-1]), dtype=torch.int32)
    positions = torch.empty(int(starts[-1]), dtype=torch.int64)
    module.induce_edges(*shared, place.data_ptr(), starts.data_ptr(), local.data_ptr(), positions.data_ptr(), threads)
    return starts, local, positions


def _induce_reference(
    indptr: Tensor, indices: Tensor, nodes: int, chosen: Tensor, place: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    count = indptr.diff()[chosen]
    ends = count.cumsum(0)
    positions = torch.arange(int(count.sum()), device=count.device) + torch.repeat_interleave(
        indptr[chosen] - ends + count, count
    )
    column = indices[positions].long()
    if len(column) and not 0 <= int(column.min()) <= int(column.max()) < nodes:
        raise index_error("indices", nodes)
    kept = place[column] >= 0
    row = torch.repeat_interleave(count)[kept]
    starts = torch.zeros(len(chosen) + 1, dtype=torch.int64, device=count.device)
    starts[1:] = torch.bincount(row, minlength=len(chosen)).cumsum(0)
    return starts, place[column[kept]], positions[kept]


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
