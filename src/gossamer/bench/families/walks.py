"""Random walks, in time and not; no library walks in time, so the rate that is aimed at stands as the peer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from gossamer.bench.case import Call, Case, Patience, Peer
from gossamer.bench.families.graphs import graph, named
from gossamer.graph import Bias, Graph, TemporalWalker, Walker, from_every_node

_LENGTH, _EACH = 20, 5
_RATE = 5e6  # steps a second and thread


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    net = graph(patience)
    generator = torch.Generator().manual_seed(0)
    times = torch.rand(net.num_edges, dtype=torch.float64, generator=generator)
    timed = Graph.from_edge_index(net.to_edge_index(), net.num_nodes, edge_data={"time": times})
    starts = from_every_node(timed, _EACH)
    for bias in Bias if patience.full else (next(iter(Bias)),):
        walker = TemporalWalker(timed, bias=bias)
        steps = _steps(walker.walk(starts, _LENGTH))
        yield Case(
            f"{steps:,} steps in time, bias {bias.value}, {named(net)}",
            partial(walker.walk, starts, _LENGTH),
            (_rate(steps, 1.0 if patience.full else None),),
        )
    for p, q in ((1.0, 1.0), (0.5, 2.0)):
        static = Walker(timed, p=p, q=q)
        steps = _steps(static.walk(starts, _LENGTH))
        yield Case(
            f"{steps:,} steps, p = {p:g}, q = {q:g}, {named(net)}",
            partial(static.walk, starts, _LENGTH),
            (_rate(steps, None),),
        )


def _steps(nodes: Tensor) -> int:
    return int((nodes >= 0).sum()) - len(nodes)


def _rate(steps: int, bar: float | None) -> Peer:
    """Returns a peer that takes as long as `steps` at the rate aimed at."""
    seconds = steps / _RATE

    def wait() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    call: Call = wait
    return Peer(f"{_RATE / 1e6:g} million steps a second", call, bar, tolerance=None, note="a rate, not a library")
