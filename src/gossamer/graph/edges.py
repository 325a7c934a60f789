"""Edges as a file lists them: one row an event, with ids of its own, perhaps weighted, perhaps at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from pyarrow import compute
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph.graph import Graph

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class EdgeList:
    """Edges in the order of their file, between nodes numbered 0 to N - 1.

    Raises:
        DataError: Something has not one value an edge.
    """

    source: Array  # (E,) int64
    target: Array  # (E,) int64
    ids: Array  # (N,) what each node is called in the file: int64, or objects that are strings
    weight: Array | None = None  # (E,) float64; a sign or a rating is a weight
    time: Array | None = None  # (E,) int64 or float64
    columns: Mapping[str, Array] = field(default_factory=dict)  # the file's other columns, (E,) each
    undirected: bool = False  # whether the file says so
    left: int | None = None  # in a bipartite list sources are the nodes below `left`, targets the others

    def __post_init__(self) -> None:
        named = {"target": self.target, "weight": self.weight, "time": self.time} | dict(self.columns)
        for name, values in named.items():
            if values is not None and values.shape != self.source.shape:
                raise DataError(f"EdgeList: {name} has shape {values.shape}; expected {self.source.shape}")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def num_nodes(self) -> int:
        """The number of nodes, N."""
        return len(self.ids)

    @classmethod
    def from_ids(cls, source: Any, target: Any, *, bipartite: bool = False, **more: Any) -> Self:
        """Numbers nodes by their ids, in ascending order (strings by code point).

        Args:
            source: (E,) integers or strings: an Arrow or NumPy array or a list.
            target: (E,) of the same type.
            bipartite: Whether equal ids at the two ends are different nodes; sources then come first.
            more: The other fields, by name.
        """
        source, target = _chunked(source), _chunked(target)
        if bipartite:
            (first, left), (second, right) = _number(source), _number(target)
            ids = np.concatenate([left, right])
            return cls(first, second + len(left), ids, left=len(left), **more)
        numbers, ids = _number(pa.chunked_array(source.chunks + target.chunks, type=source.type))
        return cls(numbers[: len(source)], numbers[len(source) :], ids, **more)

    def edge_index(self) -> Tensor:
        """Returns (2, E) int64: sources in row 0, targets in row 1, in the order of the file."""
        return torch.from_numpy(np.stack([self.source, self.target]))

    def take(self, rows: Array) -> Self:
        """Returns the edges at some rows, in that order; nodes keep their numbers."""
        return dataclasses.replace(
            self,
            source=self.source[rows],
            target=self.target[rows],
            weight=None if self.weight is None else self.weight[rows],
            time=None if self.time is None else self.time[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def sorted_by_time(self) -> Self:
        """Returns the edges in order of time, those of one moment in the order of the file.

        Raises:
            DataError: The edges have no time.
        """
        if self.time is None:
            raise DataError("sorted_by_time: the edges have no time; name its column with columns=")
        return self.take(np.argsort(self.time, kind="stable"))

    def to_graph(self, *, directed: bool | None = None) -> Graph:
        """Returns the graph: parallel edges stay apart; time and numeric columns become `edge_data`.

        Args:
            directed: False adds the reverse of each edge, except of loops and where the reverse is listed
                too; None does so where the file says that it is undirected.
        """
        edges = self
        if self.undirected if directed is None else not directed:
            forward = self.source * self.num_nodes + self.target
            missing = ~np.isin(self.target * self.num_nodes + self.source, forward)
            rows = np.concatenate([np.arange(len(self)), np.flatnonzero(missing)])
            edges = dataclasses.replace(
                self.take(rows),
                source=np.concatenate([self.source, self.target[missing]]),
                target=np.concatenate([self.target, self.source[missing]]),
            )
        data = ({} if edges.time is None else {"time": edges.time}) | dict(edges.columns)
        return Graph.from_edge_index(
            edges.edge_index(),
            self.num_nodes,
            None if edges.weight is None else torch.tensor(edges.weight, dtype=torch.float32),
            edge_data={name: torch.tensor(values) for name, values in data.items() if values.dtype.kind in "if"},
            ids=self.ids,
        )


def _chunked(values: Any) -> pa.ChunkedArray:
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values)])


def _number(values: pa.ChunkedArray) -> tuple[Array, Array]:
    """Returns the number of each value among the sorted distinct ones, and these."""
    if pa.types.is_integer(values.type):
        integers = values.to_numpy()
        top = int(integers.max(initial=0))
        if top < 4 * len(integers) + 1024:  # a table of all numbers is then cheaper than hashing or sorting
            seen = np.zeros(top + 1, dtype=bool)
            seen[integers] = True
            return (np.cumsum(seen) - 1)[integers], np.flatnonzero(seen)
    encoded = values.combine_chunks().dictionary_encode()
    order = compute.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded.indices.to_numpy()], encoded.dictionary.to_numpy(zero_copy_only=False)[order]
