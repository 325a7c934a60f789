"""Neighbour sampling against torch-sparse's sampler."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Iterator

import torch

from gossamer.bench.case import Case, Patience, Peer
from gossamer.bench.families.graphs import graph, named
from gossamer.graph import NeighborSampler

_FANOUTS, _SEEDS = [15, 10, 5], 1024
_MISSING = "torch-sparse is not installed: pip install --no-build-isolation torch-scatter torch-sparse"


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    net = graph(patience)
    sampler = NeighborSampler(net, _FANOUTS)
    draw = torch.Generator().manual_seed(0)
    batches = [torch.randperm(net.num_nodes, generator=draw)[:_SEEDS] for _ in range(64)]
    mine, theirs, alone = (itertools.cycle(batches) for _ in range(3))
    peer = None
    if importlib.util.find_spec("torch_sparse"):
        importlib.import_module("torch_sparse")
        native, indptr, column = (
            torch.ops.torch_sparse.neighbor_sample,
            net.adjacency.indptr,
            net.adjacency.indices.long(),
        )
        peer = lambda: native(indptr, column, next(theirs), _FANOUTS, False, True)  # noqa: E731
    full = patience.full
    yield Case(
        f"{_FANOUTS} around {_SEEDS:,} seeds, {named(net)}",
        lambda: sampler.sample(next(mine)),
        (
            Peer("torch-sparse", peer, 6.0 if full else None, tolerance=None, note="" if peer else _MISSING),
            Peer(
                "ours on one thread",
                lambda: sampler.sample(next(alone)),
                1.6 if full else None,
                threads=1,
                tolerance=None,
            ),
        ),
    )
