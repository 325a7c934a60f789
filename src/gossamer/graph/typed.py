"""Draws neighbourhoods in a graph whose nodes and edges are of several kinds, each with its own fan-outs.

A relation (source kind, name, target kind) is a matrix of its own. The kinds of nodes are laid behind one another, and
the relations become the types of edges of one graph, which `NeighborSampler` samples: Hamilton, Ying & Leskovec,
"Inductive representation learning on large graphs", NeurIPS 2017, with a fan-out for every relation and hop as in the
heterogeneous loaders of PyTorch Geometric. What comes back is taken apart again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from gossamer.errors import DataError, SettingError, unknown
from gossamer.graph.csr import CSR, sort_coordinates
from gossamer.graph.graph import Graph
from gossamer.graph.sample import NeighborSampler, Pick, Sample, seed_batches
from gossamer.graph.walks import check_starts

Relation = tuple[str, str, str]
"""(kind of the sources, name, kind of the targets)."""


@dataclass(frozen=True, eq=False)
class TypedSample:
    """A part of a graph of several kinds of nodes: those that were reached, and the edges that were drawn."""

    kind: str  # of the seeds
    nodes: Mapping[str, Tensor]  # kind to (n,) int64: which node of its kind each is, in the order reached, seeds first
    adjacency: Mapping[Relation, CSR]  # (targets, sources) among these nodes, with the weights of the edges
    edges: Mapping[Relation, Tensor]  # (e,) int64: which entry of the relation each is, in the order of `adjacency`
    counts: Mapping[str, tuple[int, ...]]  # nodes of each kind within 0, 1, 2, ... hops of the seeds
    roots: Mapping[str, Tensor] | None = None  # kind to (n,), with times: the seed, by its place, of each node

    @property
    def num_seeds(self) -> int:
        """How many seeds there are; they are the first nodes of their kind, in the order given."""
        return self.counts[self.kind][0]

    def edge_index(self) -> dict[Relation, Tensor]:
        """Returns (2, e) int64 of each relation, sources in row 0 and targets in row 1, as PyG's layers take it."""
        return {name: torch.stack([csr.indices.long(), csr.rows]) for name, csr in self.adjacency.items()}


class TypedSampler:
    """Draws the neighbourhoods of seeds of one kind in a graph of several kinds of nodes.

    Args:
        relations: Name to matrix (targets, sources), on the CPU; values are the edges' weights. Messages flow along
            edges, so a node draws from those that end at it.
        fanouts: For every hop how many edges of a relation a node draws at most, -1 for all; or that by relation.
        pick: How they are chosen; uniformly by default.
        times: Relation to (E,) times in the order of its entries, if only edges before a seed's time may be drawn.

    Raises:
        DataError: The matrices do not agree on how many nodes a kind has, or times are missing.
        SettingError: The fan-outs make no sense.

    >>> likes = CSR.from_coo(torch.tensor([0, 0]), torch.tensor([0, 1]), shape=(1, 2))
    >>> sampler = TypedSampler({("user", "likes", "film"): likes}, [-1])
    >>> sampler.sample("film", torch.tensor([0])).nodes["user"]
    tensor([0, 1])
    """

    def __init__(
        self,
        relations: Mapping[Relation, CSR],
        fanouts: Sequence[int] | Mapping[Relation, Sequence[int]],
        *,
        pick: Pick | None = None,
        times: Mapping[Relation, Tensor] | None = None,
    ) -> None:
        self.relations = dict(relations)
        self.sizes = _sizes(self.relations)
        starts = [0]
        for size in self.sizes.values():
            starts.append(starts[-1] + size)
        self._starts = torch.tensor(starts)
        self._first = dict(zip(self.sizes, starts, strict=False))
        whole = _joined(self.relations, self._first, starts[-1], times)
        hops = _hops(self.relations, fanouts)
        self._sampler = NeighborSampler(whole, hops, pick=pick, times=None if times is None else "time", types="kind")

    @classmethod
    def from_pyg(
        cls,
        data: Any,
        fanouts: Sequence[int] | Mapping[Relation, Sequence[int]],
        *,
        pick: Pick | None = None,
        times: str | None = None,
    ) -> Self:
        """Makes a sampler of a `torch_geometric.data.HeteroData`.

        Args:
            data: Its `edge_index` and, where there is one, `edge_weight` are read. Entries are sorted by target and
                source, and `TypedSample.edges` counts in that order.
            fanouts: As above.
            pick: As above.
            times: The attribute of every relation that holds its edges' times.
        """
        relations, moments = {}, {}
        for name in data.edge_types:
            store, shape = data[name], (data[name[2]].num_nodes, data[name[0]].num_nodes)
            source, target = store.edge_index
            indptr, order = sort_coordinates(target, source, shape=shape)
            weights = store.edge_weight[order] if "edge_weight" in store else None
            relations[name] = CSR(indptr, source[order], weights, shape=shape)
            if times is not None:
                moments[name] = store[times][order]
        return cls(relations, fanouts, pick=pick, times=None if times is None else moments)

    def sample(self, kind: str, seeds: Tensor, *, times: Tensor | None = None, seed: int = 0) -> TypedSample:
        """Draws the neighbourhoods of some nodes; the same seed gives the same sample on any number of threads.

        Args:
            kind: Of the seeds.
            seeds: (S,) distinct nodes of that kind; with times they may repeat.
            times: (S,) before which edges are drawn; given if and only if the sampler was told of times.
            seed: Says which sample.

        Raises:
            DataError: There is no such kind, seeds are out of range or repeated, or times are missing or unasked for.
        """
        seeds = check_starts(seeds, self._size(kind), name="seeds")
        return self._apart(kind, self._sampler.sample(seeds + self._first[kind], times=times, seed=seed))

    def batches(
        self, kind: str, seeds: Tensor, size: int, *, times: Tensor | None = None, shuffle: bool = True, seed: int = 0
    ) -> Iterator[TypedSample]:
        """Yields samples of `size` seeds each, as `NeighborSampler.batches` does."""
        self._size(kind)
        for rows, number in seed_batches(len(seeds), size, shuffle=shuffle, seed=seed):
            yield self.sample(kind, seeds[rows], times=None if times is None else times[rows], seed=number)

    def _size(self, kind: str) -> int:
        if kind not in self.sizes:
            raise DataError(unknown("kind of nodes", kind, self.sizes))
        return self.sizes[kind]

    def _apart(self, kind: str, sample: Sample) -> TypedSample:
        of = torch.searchsorted(self._starts, sample.nodes, right=True) - 1  # the kind of each node
        place = torch.empty_like(sample.nodes)  # which of its kind
        nodes, roots, counts = {}, {}, {}
        for number, name in enumerate(self.sizes):
            mine = (of == number).nonzero().squeeze(1)
            place[mine] = torch.arange(len(mine))
            nodes[name] = sample.nodes[mine] - self._first[name]
            counts[name] = tuple(torch.searchsorted(mine, torch.tensor(sample.counts)).tolist())
            if sample.roots is not None:
                roots[name] = sample.roots[mine]
        part = sample.graph.adjacency
        relation, entry = sample.graph.edge_data["kind"], sample.graph.edge_data["entry"]
        adjacency, edges = {}, {}
        for number, which in enumerate(self.relations):
            mine = (relation == number).nonzero().squeeze(1)
            row, column = place[part.rows[mine]], place[part.indices[mine].long()]
            shape = (len(nodes[which[2]]), len(nodes[which[0]]))
            indptr = torch.zeros(shape[0] + 1, dtype=torch.int64)
            indptr[1:] = torch.bincount(row, minlength=shape[0]).cumsum(0)  # rows ascend: those of a kind stay in order
            edges[which] = entry[mine]
            weights = self.relations[which].values
            adjacency[which] = CSR(indptr, column, None if weights is None else weights[edges[which]], shape=shape)
        return TypedSample(kind, nodes, adjacency, edges, counts, roots if sample.roots is not None else None)


def _sizes(relations: Mapping[Relation, CSR]) -> dict[str, int]:
    """Returns how many nodes each kind has."""
    if not relations:
        raise DataError("relations: found none; expected at least one matrix")
    sizes: dict[str, int] = {}
    for (source, name, target), csr in relations.items():
        if csr.device.type != "cpu":
            raise DataError(f"relation {name!r}: is on {csr.device}; expected the CPU")
        for kind, size in ((target, csr.shape[0]), (source, csr.shape[1])):
            if sizes.setdefault(kind, size) != size:
                raise DataError(f"relation {name!r}: has {size} nodes of kind {kind!r}, another one {sizes[kind]}")
    return sizes


def _joined(
    relations: Mapping[Relation, CSR], first: Mapping[str, int], nodes: int, times: Mapping[Relation, Tensor] | None
) -> Graph:
    """Returns one graph of all nodes and edges; each edge knows its relation, its entry there, and its time."""
    ends, weights = [], []
    data: dict[str, list[Tensor]] = {"kind": [], "entry": []}
    weighted = any(csr.values is not None for csr in relations.values())
    for number, (name, csr) in enumerate(relations.items()):
        ends.append(torch.stack([csr.indices.long() + first[name[0]], csr.rows + first[name[2]]]))
        weights.append(csr.to_values().double())
        data["kind"].append(torch.full((csr.nnz,), number))
        data["entry"].append(torch.arange(csr.nnz))
        if times is not None:
            moments = times.get(name)
            if moments is None or moments.shape != (csr.nnz,):
                found = "none" if moments is None else f"shape {tuple(moments.shape)}"
                raise DataError(f"times: of relation {name[1]!r}: found {found}; expected ({csr.nnz},), one an entry")
            data.setdefault("time", []).append(moments)
    return Graph.from_edge_index(
        torch.cat(ends, 1),
        nodes,
        torch.cat(weights) if weighted else None,
        edge_data={name: torch.cat(parts) for name, parts in data.items()},
    )


def _hops(
    relations: Mapping[Relation, CSR], fanouts: Sequence[int] | Mapping[Relation, Sequence[int]]
) -> list[list[int]]:
    """Returns for every hop the fan-out of every relation."""
    if not isinstance(fanouts, Mapping):
        return [[hop] * len(relations) for hop in fanouts]
    if set(fanouts) != set(relations):
        raise SettingError(f"fanouts: found those of {sorted(fanouts)}; expected {sorted(relations)}")
    lengths = {len(fanouts[name]) for name in relations}
    if len(lengths) > 1:
        raise SettingError(f"fanouts: found between {min(lengths)} and {max(lengths)} hops; expected as many for each")
    return [list(hop) for hop in zip(*(fanouts[name] for name in relations), strict=True)]
