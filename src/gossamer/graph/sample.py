"""Draws the neighbourhoods of some nodes, hop by hop, so that a network can train on a part of a large graph.

Hamilton, Ying & Leskovec, "Inductive representation learning on large graphs", NeurIPS 2017, section 3.1: every node
that is reached draws at most a fixed number of its incoming edges. Nodes are numbered in the order in which they are
reached, seeds first, and each is expanded once, so that the edges of all hops, one after the other, are the rows of
one matrix: what layer l needs is a corner of it.

With times, only edges before the time of a seed are drawn for it, at every hop, as in PyG and TGN (Rossi et al., 2020).
Seeds then share no nodes, since their pasts differ. With types, every type of edge has its own fan-outs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.graph.csr import CSR
from gossamer.graph.graph import Graph, select_rows
from gossamer.graph.walks import check_starts, check_times, check_weights, running_sums
from gossamer.kernels.random import stream_key
from gossamer.kernels.sampling import LATEST, UNIFORM, WEIGHTED, Draw, Edges, Numbering, draw_hop, induce
from gossamer.settings import Settings

_ALL = -1


@dataclass(frozen=True, kw_only=True)
class Pick(Settings):
    """How a node chooses among its edges."""


@dataclass(frozen=True, kw_only=True)
class Uniform(Pick):
    """Every edge is equally likely; without replacement, every set of edges."""

    name = "uniform"
    repeats: bool = False  # whether an edge may be drawn twice; a node with any edge then draws its full fan-out


@dataclass(frozen=True, kw_only=True)
class ByWeight(Pick):
    """Edges in proportion to their weight; without replacement, one by one among those that are left."""

    name = "by_weight"
    repeats: bool = False


@dataclass(frozen=True, kw_only=True)
class Latest(Pick):
    """The latest edges; of edges at one time those that come last in the graph. Nothing is random."""

    name = "latest"


@dataclass(frozen=True, eq=False)
class Sample:
    """A part of a graph: n nodes, numbered as they were reached, and the edges that were drawn."""

    graph: Graph  # of n nodes, with their x, y, masks, ids and the edges' weights and data
    nodes: Tensor  # (n,) int64: which node of the sampled graph each is
    edges: Tensor  # (e,) int64: which edge each is, in the order of the sampled graph's adjacency
    counts: tuple[int, ...]  # nodes within 0, 1, 2, ... hops of the seeds; the first are the seeds
    roots: Tensor | None = None  # (n,) int64, with times: the seed, by its place, that each node was reached for

    @property
    def num_seeds(self) -> int:
        """How many seeds there are; they are the first nodes, in the order given."""
        return self.counts[0]

    def blocks(self) -> tuple[CSR, ...]:
        """Returns one matrix a hop, the outermost first, for layers that map sources to fewer targets.

        The matrix of layer l of L is (counts[L - l], counts[L - l + 1]); its rows and columns are the first
        nodes, so that the output of one layer is the input of the next.
        """
        adjacency, found = self.graph.adjacency, []
        for rows, columns in zip(self.counts[-2::-1], self.counts[:0:-1], strict=True):
            indptr = adjacency.indptr[: rows + 1]
            kept = slice(0, int(indptr[-1]))
            values = None if adjacency.values is None else adjacency.values[kept]
            found.append(CSR(indptr, adjacency.indices[kept], values, shape=(rows, columns)))
        return tuple(found)


class NeighborSampler:
    """Draws the neighbourhoods of seeds in one graph.

    Args:
        graph: On the CPU. Messages flow along its edges, so a node draws from those that end at it.
        fanouts: For every hop how many edges a node draws at most, -1 for all; with types, that for every type.
        pick: How they are chosen.
        times: The name in `edge_data` of the edges' times, if only edges before a seed's time may be drawn.
        types: The name in `edge_data` of the edges' types, integers from 0.

    Raises:
        DataError: The graph lacks what is asked for, or holds values that make no sense.
        SettingError: The fan-outs make no sense, or `Latest` is asked for without times.
    """

    def __init__(
        self,
        graph: Graph,
        fanouts: Sequence[int] | Sequence[Sequence[int]],
        *,
        pick: Pick | None = None,
        times: str | None = None,
        types: str | None = None,
    ) -> None:
        self.graph = graph
        self.pick = pick or Uniform()
        if graph.device.type != "cpu":
            raise DataError(f"NeighborSampler: the graph is on {graph.device}; expected the CPU: graph.to('cpu')")
        if isinstance(self.pick, Latest) and times is None:
            raise SettingError("Latest: needs the times of edges; say times='time'")
        kind = None if types is None else _checked_types(graph, types)
        self._types = _count_types(kind, fanouts)
        self._fanouts = _checked_fanouts(fanouts, self._types)
        self._edges, self._order, self._moments = _arranged(graph, self.pick, kind, self._types, times)

    def sample(self, seeds: Tensor, *, times: Tensor | None = None, seed: int = 0) -> Sample:
        """Draws the neighbourhoods of some nodes; the same seed gives the same sample on any number of threads.

        Args:
            seeds: (S,) distinct nodes; with times they may repeat.
            times: (S,) before which edges are drawn; given if and only if the sampler was told of times.
            seed: Says which sample.

        Raises:
            DataError: Seeds are out of range or repeated, times are missing or unasked for, or one sample would
                have 2^31 or more nodes and edges.
        """
        nodes = self.graph.num_nodes
        seeds = check_starts(seeds, nodes, name="seeds")
        until = self._until(seeds, times)
        entries = seeds if until is None else seeds + nodes * torch.arange(len(seeds))
        reach = math.prod(1 + (1000 if min(hop) < 0 else sum(hop)) for hop in self._fanouts)
        numbering = Numbering(nodes * (1 if until is None else max(len(seeds), 1)), len(seeds) * reach)
        _, frontier = numbering.number(entries)
        if len(frontier) < len(seeds):
            raise DataError(f"seeds: hold {len(seeds)} nodes, {len(frontier)} of them distinct; pass seeds.unique()")
        found, counts, hops = [frontier], [len(frontier)], []
        for number, fanouts in enumerate(self._fanouts):
            key = stream_key(seed, number)
            repeats = isinstance(self.pick, (Uniform, ByWeight)) and self.pick.repeats
            wanted = torch.tensor(fanouts)
            hop = draw_hop(Draw(self._edges, frontier, wanted, until, _CODES[type(self.pick)], repeats, key), numbering)
            hops.append(hop)
            frontier = hop.fresh
            found.append(frontier)
            counts.append(counts[-1] + len(frontier))
        entries = torch.cat(found)
        roots = None if until is None else entries // nodes
        reached = entries if until is None else entries % nodes
        positions = torch.cat([hop.positions for hop in hops])
        edges = positions if self._order is None else self._order[positions]
        indptr = torch.zeros(counts[-1] + 1, dtype=torch.int64)
        row, before = 0, 0
        for hop in hops:
            indptr[row + 1 : row + len(hop.indptr)] = hop.indptr[1:] + before
            row, before = row + len(hop.indptr) - 1, before + len(hop.positions)
        indptr[row + 1 :] = before
        indices = torch.cat([hop.local for hop in hops])
        return Sample(_part(self.graph, indptr, indices, reached, edges), reached, edges, tuple(counts), roots)

    def batches(
        self, seeds: Tensor, size: int, *, times: Tensor | None = None, shuffle: bool = True, seed: int = 0
    ) -> Iterator[Sample]:
        """Yields samples of `size` seeds each, the last one smaller, until all seeds have been there once.

        Args:
            seeds: (S,) nodes.
            size: Seeds a sample, at least 1.
            times: (S,) as `sample` takes them.
            shuffle: Whether the order of seeds is random.
            seed: Says which order and samples; take another one every epoch.

        Raises:
            SettingError: `size` is below 1.
        """
        for rows, number in seed_batches(len(seeds), size, shuffle=shuffle, seed=seed):
            yield self.sample(seeds[rows], times=None if times is None else times[rows], seed=number)

    def _until(self, seeds: Tensor, times: Tensor | None) -> Tensor | None:
        if (times is None) != (self._moments is None):
            asked = "no times" if self._moments is None else "times"
            raise DataError(f"times: the sampler was made with {asked}; give a time for each seed only if it has them")
        if times is None or self._moments is None:
            return None
        if times.shape != seeds.shape:
            raise DataError(f"times: shape {tuple(times.shape)}; expected {tuple(seeds.shape)}, one a seed")
        return torch.searchsorted(self._moments, times.to(self._moments.dtype))  # edges before have a lower rank


def seed_batches(count: int, size: int, *, shuffle: bool, seed: int) -> Iterator[tuple[Tensor, int]]:
    """Yields the places of the seeds of each batch, and the number that says which sample is drawn for it."""
    if size < 1:
        raise SettingError(f"size: found {size}; expected at least 1")
    draw = torch.Generator().manual_seed(stream_key(seed, 0) >> 1)
    order = torch.randperm(count, generator=draw) if shuffle else torch.arange(count)
    for number, rows in enumerate(torch.split(order, size)):
        yield rows, stream_key(seed, 1, number)


_CODES: dict[type[Pick], int] = {Uniform: UNIFORM, ByWeight: WEIGHTED, Latest: LATEST}


def _arranged(
    graph: Graph, pick: Pick, kind: Tensor | None, types: int, times: str | None
) -> tuple[Edges, Tensor | None, Tensor | None]:
    """Returns edges in ranges, sorted by time within; the order that was needed for it; and the times there are."""
    adjacency, nodes = graph.adjacency, graph.num_nodes
    time = None if times is None else check_times(graph, times)
    weights = None
    if isinstance(pick, ByWeight):
        weights = check_weights(torch.ones(graph.num_edges) if graph.weights is None else graph.weights)
    if kind is None and time is None and (weights is None or bool((weights > 0).all())):
        if isinstance(pick, ByWeight) and pick.repeats and weights is not None:
            weights = running_sums(adjacency.indptr, weights)
        return Edges(nodes, 1, adjacency.indptr, adjacency.indices, weights), None, None
    key = adjacency.rows * types + (0 if kind is None else kind)
    order = torch.arange(graph.num_edges)
    moments = rank = None
    if time is not None:
        moments, rank = torch.unique(time, return_inverse=True)
        order = torch.argsort(key * max(len(moments), 1) + rank, stable=True)
    elif kind is not None:
        order = torch.argsort(key, stable=True)
    if weights is not None:
        order = order[weights[order] > 0]  # an edge of weight 0 is never drawn
        weights = weights[order]
    bounds = torch.zeros(nodes * types + 1, dtype=torch.int64)
    bounds[1:] = torch.bincount(key[order], minlength=nodes * types).cumsum(0)
    if isinstance(pick, ByWeight) and pick.repeats and weights is not None:
        weights = running_sums(bounds, weights)
    ranks = None if rank is None else rank[order]
    return Edges(nodes, types, bounds, adjacency.indices[order], weights, ranks), order, moments


def _checked_types(graph: Graph, name: str) -> Tensor:
    kind = graph.edge_data.get(name)
    if kind is None:
        raise DataError(f"edge_data: holds {sorted(graph.edge_data)}; expected {name!r}, the type of each edge")
    if kind.dim() != 1 or kind.dtype.is_floating_point or (len(kind) and int(kind.min()) < 0):
        raise DataError(
            f"edge_data[{name!r}]: found {kind.dtype} of shape {tuple(kind.shape)}; expected integers from 0"
        )
    return kind.long()


def _count_types(kind: Tensor | None, fanouts: Sequence[int] | Sequence[Sequence[int]]) -> int:
    """Returns how many types of edges there are, those without any edge but with fan-outs of their own included."""
    if kind is None:
        return 1
    given = max((len(hop) for hop in fanouts if not isinstance(hop, int)), default=1)
    return max(given, int(kind.max()) + 1 if len(kind) else 1)


def _checked_fanouts(fanouts: Sequence[int] | Sequence[Sequence[int]], types: int) -> list[list[int]]:
    found = [[hop] * types if isinstance(hop, int) else list(hop) for hop in fanouts]
    for hop in found:
        if len(hop) != types or any(count < _ALL for count in hop):
            raise SettingError(f"fanouts: found {hop}; expected {types} numbers of at least -1, one a type of edge")
    if not found:
        raise SettingError("fanouts: found none; expected a number for every hop")
    return found


def induced(graph: Graph, nodes: Tensor) -> Sample:
    """Returns the subgraph of some nodes and all edges between them, as a sample without hops.

    Unlike `Graph.induced` it says which edges are kept, and leaves those of a node in the order of the graph.

    Args:
        graph: On the CPU.
        nodes: (K,) distinct nodes; they are numbered in this order.

    Raises:
        DataError: A node is out of range or given twice.
    """
    nodes = check_starts(nodes, graph.num_nodes, name="nodes")
    if len(torch.unique(nodes)) < len(nodes):
        raise DataError("nodes: one is given twice; pass each once, for example nodes.unique()")
    adjacency = graph.adjacency
    indptr, indices, edges = induce(adjacency.indptr, adjacency.indices, graph.num_nodes, nodes)
    return Sample(_part(graph, indptr, indices, nodes, edges), nodes, edges, (len(nodes),))


def _part(whole: Graph, indptr: Tensor, indices: Tensor, nodes: Tensor, edges: Tensor) -> Graph:
    """Returns the graph of some nodes and edges of another, with what is known about them."""
    weights = None if whole.weights is None else whole.weights[edges]
    return Graph(
        CSR(indptr, indices, weights, shape=(len(nodes), len(nodes))),
        x=select_rows(whole.x, nodes),
        y=whole.y[nodes] if whole.y is not None and whole.y.shape[:1] == (whole.num_nodes,) else whole.y,
        masks={name: mask[nodes] for name, mask in whole.masks.items()},
        edge_data={name: value[edges] for name, value in whole.edge_data.items()},
        ids=None if whole.ids is None else whole.ids[nodes.numpy()],
    )
