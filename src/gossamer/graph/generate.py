"""Graphs made from a seed: with planted classes, with hubs, without any structure, or from points in space.

All are undirected (both directions of every edge are there), without self loops and without parallel edges,
and the same arguments give the same graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import SettingError
from gossamer.graph.graph import Graph

Array = np.ndarray[Any, np.dtype[np.int64]]


def csbm(
    nodes: int,
    classes: int = 2,
    features: int = 64,
    *,
    degree: float = 10.0,
    structure: float = 1.0,
    signal: float = 1.0,
    seed: int = 0,
) -> Graph:
    """Returns a graph of the contextual stochastic block model: edges and features both hint at the class.

    Deshpande, Sen, Montanari & Mossel, "Contextual Stochastic Block Models", NeurIPS 2018, eqs. (1) and (2).
    Two nodes are joined with probability c_in / N inside a class and c_out / N across, and node i of class
    v_i = ±1 has features sqrt(µ/N) v_i u + z_i / sqrt(F), with u ~ Normal(0, I / F) and z_i ~ Normal(0, I).
    For two classes they can be told apart, as N grows, exactly if λ² + µ² F / N > 1.

    Ours: more than two classes. λ √d stays the second eigenvalue of the expected adjacency, so that
    c_in = d + (K - 1) λ √d and c_out = d - λ √d, and the class signs become the corners of a regular simplex.

    Args:
        nodes: N, at least `classes`; classes differ in size by at most one node and are shuffled.
        classes: K, at least 2.
        features: F, at least 1.
        degree: d, the expected number of neighbours of a node, above 0.
        structure: λ, how much the edges say; below 0 neighbours tend to be of other classes.
        signal: µ, how much the features say, at least 0.
        seed: Says which graph.

    Returns:
        A graph with `x` (N, F) float32 and `y` (N,) int64.

    Raises:
        SettingError: A number is out of its range, or λ and d leave no probability between 0 and 1.
    """
    if not 2 <= classes <= nodes or features < 1 or degree <= 0 or signal < 0:
        raise SettingError(
            f"csbm: nodes={nodes}, classes={classes}, features={features}, degree={degree}, signal={signal}; "
            "expected 2 <= classes <= nodes, features at least 1, degree above 0, signal at least 0"
        )
    shift = structure * math.sqrt(degree)
    within, across = (degree + (classes - 1) * shift) / nodes, (degree - shift) / nodes
    if not (0 <= within <= 1 and 0 <= across <= 1):
        raise SettingError(
            f"csbm: structure={structure} with degree={degree} gives edge probabilities {within:.3g} within "
            f"and {across:.3g} across classes; expected 0 to 1: move structure towards 0 or add nodes"
        )
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(nodes) % classes)
    pairs = _block_pairs(labels, classes, within, across, rng)
    corners = _simplex(classes)  # (K, K - 1)
    directions = rng.standard_normal((classes - 1, features)) / math.sqrt(features)
    means = math.sqrt(signal / nodes) * corners @ directions  # (K, F)
    x = means[labels] + rng.standard_normal((nodes, features)) / math.sqrt(features)
    return _undirected(pairs, nodes, x=torch.from_numpy(x).float(), y=torch.from_numpy(labels))


def power_law(nodes: int, edges: int, exponent: float = 2.5, *, seed: int = 0) -> Graph:
    """Returns a graph whose degrees follow a power law: a few hubs, many nodes with a few neighbours.

    Chung & Lu, "Connected components in random graphs with given expected degree sequences", Annals of
    Combinatorics 2002: both ends of an edge are drawn in proportion to i^(-1 / (exponent - 1)) for a random
    numbering i = 1, ..., N. Loops and repeats are drawn again until exactly `edges` are there.

    Args:
        nodes: N, at least 2.
        edges: Directed edges in the result, an even number, at most half of N (N - 1).
        exponent: Of the degree distribution, above 2.
        seed: Says which graph.

    Raises:
        SettingError: A number is out of its range.
    """
    _check_edges("power_law", nodes, edges, nodes * (nodes - 1) // 2)
    if exponent <= 2:
        raise SettingError(f"power_law: exponent is {exponent}; expected above 2, so that the mean degree is finite")
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum(np.arange(1, nodes + 1) ** (-1.0 / (exponent - 1.0)))
    cumulative /= cumulative[-1]
    name = rng.permutation(nodes)

    def draw(count: int) -> Array:
        ends = name[np.searchsorted(cumulative, rng.random((2, count)), side="right")]
        low, high = ends.min(axis=0), ends.max(axis=0)
        keys: Array = (low * nodes + high)[low != high]
        return keys

    keys = _collect(draw, edges // 2, rng)
    return _undirected(np.stack(np.divmod(keys, nodes)), nodes)


def random_graph(nodes: int, edges: int, *, seed: int = 0) -> Graph:
    """Returns a graph drawn uniformly from all with these numbers of nodes and edges (Erdős & Rényi, 1959).

    Args:
        nodes: N, at least 2.
        edges: Directed edges in the result, an even number, at most N (N - 1).
        seed: Says which graph.

    Raises:
        SettingError: A number is out of its range.
    """
    _check_edges("random_graph", nodes, edges, nodes * (nodes - 1))
    rng = np.random.default_rng(seed)
    return _undirected(_triangle(_distinct(nodes * (nodes - 1) // 2, edges // 2, rng)), nodes)


def knn_graph(x: Tensor, k: int) -> Graph:
    """Returns the graph that joins each point to its `k` nearest others (Euclidean), in both directions.

    Args:
        x: (N, F) points, which become the features.
        k: Neighbours that each point chooses, from 1 to N - 1; a node chosen by many has more.

    Raises:
        SettingError: `k` is out of its range.
    """
    from sklearn.neighbors import kneighbors_graph

    if not 1 <= k < x.shape[0]:
        raise SettingError(f"knn_graph: k is {k}; expected 1 to {x.shape[0] - 1} for {x.shape[0]} points")
    chosen = kneighbors_graph(x.detach().cpu().numpy(), k, mode="connectivity", include_self=False).tocoo()
    low, high = np.minimum(chosen.row, chosen.col), np.maximum(chosen.row, chosen.col)
    keys = np.unique(low.astype(np.int64) * x.shape[0] + high)
    return _undirected(np.stack(np.divmod(keys, x.shape[0])), x.shape[0], x=x)


def _undirected(pairs: Array, nodes: int, *, x: Tensor | None = None, y: Tensor | None = None) -> Graph:
    """Returns the graph with both directions of each of the (2, P) pairs."""
    edges = torch.from_numpy(np.concatenate([pairs, pairs[::-1]], axis=1))
    return Graph.from_edge_index(edges, nodes, x=x, y=y)


def _block_pairs(labels: Array, classes: int, within: float, across: float, rng: np.random.Generator) -> Array:
    """Draws each pair of nodes with the probability of its two classes; returns (2, P)."""
    members = [np.flatnonzero(labels == c) for c in range(classes)]
    found = []
    for a in range(classes):
        size = len(members[a])
        total = size * (size - 1) // 2
        low, high = _triangle(_distinct(total, int(rng.binomial(total, within)), rng))
        found.append(np.stack([members[a][low], members[a][high]]))
        for b in range(a + 1, classes):
            total = size * len(members[b])
            row, column = np.divmod(_distinct(total, int(rng.binomial(total, across)), rng), len(members[b]))
            found.append(np.stack([members[a][row], members[b][column]]))
    return np.concatenate(found, axis=1)


def _triangle(index: Array) -> Array:
    """Returns the (low, high) pair of each index: 0 is (0, 1), 1 is (0, 2), 2 is (1, 2), 3 is (0, 3), ..."""
    high = ((1 + np.sqrt(8.0 * index + 1)) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > index  # the square root may be off by one
    high += high * (high + 1) // 2 <= index
    return np.stack([index - high * (high - 1) // 2, high])


def _distinct(total: int, count: int, rng: np.random.Generator) -> Array:
    """Returns `count` distinct numbers below `total`, all subsets equally likely, ascending."""
    if 2 * count > total:
        out = np.ones(total, dtype=bool)
        out[_distinct(total, total - count, rng)] = False
        return np.flatnonzero(out)
    return _collect(lambda size: rng.integers(0, total, size), count, rng)


def _collect(draw: Callable[[int], Array], count: int, rng: np.random.Generator) -> Array:
    """Calls `draw(size)` until `count` distinct numbers are there; returns them in ascending order."""
    keys: Array = np.empty(0, dtype=np.int64)
    while len(keys) < count:
        missing = count - len(keys)
        keys = np.union1d(keys, draw(missing + missing // 8 + 16))
    return np.sort(rng.choice(keys, count, replace=False)) if len(keys) > count else keys


def _simplex(corners: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns the corners of a regular simplex around 0, (K, K - 1), of length sqrt(K - 1); ±1 for two."""
    centred = np.eye(corners) - 1.0 / corners
    basis = np.linalg.svd(centred)[0][:, : corners - 1]  # columns span the space orthogonal to (1, ..., 1)
    return basis * math.sqrt(corners)


def _check_edges(name: str, nodes: int, edges: int, most: int) -> None:
    if nodes < 2 or edges < 0 or edges % 2 or edges > most:
        raise SettingError(
            f"{name}: nodes={nodes}, edges={edges}; expected at least 2 nodes and an even number of edges "
            f"(both directions count) from 0 to {most}"
        )
