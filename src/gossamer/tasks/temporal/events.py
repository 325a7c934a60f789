"""Edges in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph import EdgeList, Graph
from gossamer.graph.walks import check_times


@dataclass(frozen=True, eq=False)
class Events:
    """Time-stamped edges, the earliest first; those of one moment keep the order in which they were listed."""

    source: Tensor  # (E,) int64 in [0, nodes)
    target: Tensor  # (E,) int64 in [0, nodes)
    time: Tensor  # (E,) ascending
    nodes: int

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def of(cls, raw: EdgeList | Graph) -> Self:
        """Returns the events of an edge list or of a graph with times in `edge_data`.

        Raises:
            DataError: There are no times, or one is not finite.
        """
        if isinstance(raw, EdgeList):
            if raw.time is None:
                raise DataError("the edges have no time; name its column, as in --columns source,target,time")
            source, target, time = (torch.as_tensor(part) for part in (raw.source, raw.target, raw.time))
            if not bool(torch.isfinite(time).all()):
                raise DataError("time: found one that is not finite; expected numbers")
        else:
            time = check_times(raw, "time")
            source, target = raw.to_edge_index()
        order = torch.argsort(time, stable=True)
        return cls(source[order], target[order], time[order], raw.num_nodes)

    def __getitem__(self, rows: slice) -> Events:
        return Events(self.source[rows], self.target[rows], self.time[rows], self.nodes)

    def at(self, rows: Tensor) -> Events:
        """Returns the events of some rows, which ascend."""
        return Events(self.source[rows], self.target[rows], self.time[rows], self.nodes)

    def graph(self, *, both_ways: bool = False) -> Graph:
        """Returns the directed graph with times; `both_ways` adds the reverse of every event."""
        edges, time = torch.stack([self.source, self.target]), self.time
        if both_ways:
            edges, time = torch.cat([edges, edges.flip(0)], dim=1), time.repeat(2)
        return Graph.from_edge_index(edges, self.nodes, edge_data={"time": time})
