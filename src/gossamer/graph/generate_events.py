"""Makes streams of time-stamped edges: communities that change little, and messages among very unequal people."""

from __future__ import annotations

import numpy as np
import torch

from gossamer.errors import SettingError
from gossamer.graph.edges import EdgeList
from gossamer.graph.graph import Graph


def community_events(
    nodes: int, events: int, *, classes: int = 10, contrast: float = 10.0, periods: int = 12, seed: int = 0
) -> Graph:
    """Returns a directed graph with times whose events are mostly within communities, which are the labels.

    A source is drawn uniformly; the target is of its community `contrast` times as likely, node for node, as of
    another. Each period half of the nodes are at rest, others than before, so that when counts too.

    Args:
        nodes: N, at least 2 a class.
        events: E, at least 1.
        classes: Communities, at least 2; they differ in size by at most one node.
        contrast: At least 1; 1 hides the communities.
        periods: Steps of time, at least 1; times are 0 to `periods`, all different but by chance.
        seed: Says which graph.

    Returns:
        A graph with `y` (N,), and `edge_data` "time" (E,) float64.

    Raises:
        SettingError: A number is out of its range.
    """
    if classes < 2 or nodes < 2 * classes or events < 1 or contrast < 1 or periods < 1:
        raise SettingError(
            f"community_events: nodes={nodes}, events={events}, classes={classes}, contrast={contrast}, "
            f"periods={periods}; expected classes of at least 2, 2 nodes a class, and the others at least 1"
        )
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(nodes) % classes)
    within = contrast / (contrast + classes - 1.0)
    found = []
    for period in range(periods):
        count = (period + 1) * events // periods - period * events // periods
        source, awake = rng.integers(nodes, size=count), rng.permutation(nodes)[: max(nodes // 2, 1)]
        source = awake[source % len(awake)]
        own = rng.random(count) < within
        other = (label[source] + 1 + rng.integers(classes - 1, size=count)) % classes
        wanted = np.where(own, label[source], other)
        order = np.argsort(label, kind="stable")
        begin = np.searchsorted(label[order], np.arange(classes + 1))
        size = np.diff(begin)[wanted]
        target = order[begin[wanted] + (rng.random(count) * size).astype(np.int64)]
        found.append((source, target, period + np.sort(rng.random(count))))
    edges = torch.from_numpy(np.stack([np.concatenate([part[i] for part in found]) for i in (0, 1)]))
    times = torch.from_numpy(np.concatenate([part[2] for part in found]))
    return Graph.from_edge_index(edges, nodes, y=torch.from_numpy(label), edge_data={"time": times})


def talk_events(nodes: int, events: int, *, again: float = 0.5, exponent: float = 2.2, seed: int = 0) -> EdgeList:
    """Returns messages as on the talk pages of a large wiki: few write most, many never do, and pairs return.

    Both ends of a new pair are drawn in proportion to a power of the rank, each in an order of its own; a share
    `again` of the events repeats one of the thousand before. Nodes appear by and by: event e is among the first
    N · sqrt(e / E). Times are in seconds, with days and nights.

    Args:
        nodes: N, at least 2.
        events: E, at least 1.
        again: In [0, 1).
        exponent: Of the degree distribution, above 2.
        seed: Says which stream.

    Raises:
        SettingError: A number is out of its range.
    """
    if nodes < 2 or events < 1 or not 0 <= again < 1 or exponent <= 2:
        raise SettingError(
            f"talk_events: nodes={nodes}, events={events}, again={again}, exponent={exponent}; expected at least "
            "2 nodes and 1 event, again in [0, 1), exponent above 2"
        )
    rng = np.random.default_rng(seed)
    there = np.maximum(np.ceil(nodes * np.sqrt(np.arange(1, events + 1) / events)), 2).astype(np.int64)
    power = (exponent - 2.0) / (exponent - 1.0)  # inverse of the sum of i^(-1 / (exponent - 1))
    ends = np.minimum((there * rng.random((2, events)) ** (1.0 / power)).astype(np.int64), there - 1)
    ends[1] = (there - 1 - ends[1] + rng.integers(3, size=events)) % there  # other people are asked than ask
    ends[1] = np.where(ends[0] == ends[1], (ends[1] + 1) % there, ends[1])
    copied = np.flatnonzero(rng.random(events) < again)
    copied = copied[copied > 0]
    back = copied - 1 - (rng.random(len(copied)) * np.minimum(copied, 1000)).astype(np.int64)
    origin = np.arange(events)
    origin[copied] = back
    while bool((moved := origin[origin] != origin).any()):  # copies of copies
        origin[moved] = origin[origin[moved]]
    source, target = ends[:, origin]
    gaps = rng.exponential(size=events) * np.where((np.arange(events) // max(events // 2000, 1)) % 3 == 0, 4.0, 1.0)
    return EdgeList(source, target, np.arange(nodes), time=(60 * np.cumsum(gaps)).astype(np.int64))
