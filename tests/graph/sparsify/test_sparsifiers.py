from __future__ import annotations

import math

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import SettingError
from gossamer.graph import CSR, Graph, Links, power_law
from gossamer.graph.sparsify import (
    JaccardSimilarity,
    LocalDegree,
    LSpar,
    NodeShare,
    RandomEdges,
    RankDegree,
    Sparsifier,
    Spectral,
    jaccard,
    sparsify,
)
from gossamer.graph.sparsify.sparsifier import kept
from gossamer.settings import members
from tests.graph.strategies import graphs

ALL = sorted(members(Sparsifier))
each = pytest.mark.parametrize("name", ALL)
fractions = st.floats(0.05, 0.95)
GRAPH = power_law(200, 800, seed=3).to_undirected()


def made(name: str) -> Sparsifier:
    return Sparsifier.from_json({"name": name})


def with_positive_weights(graph: Graph) -> Graph:
    return Graph(graph.adjacency.with_values(graph.adjacency.to_values() + 0.25))


@each
@settings(max_examples=15, deadline=None)
@given(graph=graphs(), removed=fractions, seed=st.integers(0, 2**40))
def test_what_stays_is_a_part_of_the_graph(name: str, graph: Graph, removed: float, seed: int) -> None:
    graph = with_positive_weights(graph).to_undirected()
    links = Links.of(graph)
    found = sparsify(graph, made(name), removed, seed=seed)
    assert found.graph.is_undirected(), "symmetric in, symmetric out"
    assert torch.equal(found.graph.to_edge_index(), graph.to_edge_index()[:, found.keep])
    assert bool(found.keep[graph.adjacency.rows == graph.adjacency.indices].all()), "self loops stay"
    left = len(Links.of(found.graph))
    assert found.removed == pytest.approx(1.0 - left / len(links) if len(links) else 0.0)
    if name != "spectral":
        assert left == kept(len(links), removed)
        assert torch.equal(found.graph.adjacency.to_values(), graph.adjacency.to_values()[found.keep])
    before, after = links.degrees(), Links.of(found.graph).degrees()
    assert found.isolated == int(((before > 0) & (after == 0)).sum())
    again = sparsify(graph, made(name), removed, seed=seed)
    assert torch.equal(found.keep, again.keep)
    assert (found.by, found.seed) == (made(name), seed)


@pytest.mark.parametrize("name", [name for name in ALL if name != "spectral"])
@settings(max_examples=8, deadline=None)
@given(graph=graphs(), removed=fractions)
def test_directed_graphs_lose_directed_edges(name: str, graph: Graph, removed: float) -> None:
    found = sparsify(graph, made(name), removed)
    assert len(Links.of(found.graph)) <= len(Links.of(graph))
    assert torch.equal(found.graph.to_edge_index(), graph.to_edge_index()[:, found.keep])


@each
def test_nothing_to_remove_leaves_the_graph(name: str) -> None:
    assert sparsify(GRAPH, made(name), 0.0).graph is GRAPH
    lonely = Graph(CSR.from_dense(torch.eye(3)))
    assert sparsify(lonely, made(name), 0.5).graph is lonely
    with pytest.raises(SettingError, match=r"removed is 1\.0; expected a fraction"):
        sparsify(GRAPH, made(name), 1.0)


def test_every_link_is_as_likely_to_go_at_random() -> None:
    counts = sum(sparsify(GRAPH, RandomEdges(), 0.3, seed=seed).keep.double() for seed in range(400)) / 400
    assert abs(float(counts.mean()) - 0.7) < 0.002
    assert float((counts - 0.7).abs().max()) < 5 * math.sqrt(0.3 * 0.7 / 400)


@settings(max_examples=40, deadline=None)
@given(removed=fractions, seed=st.integers(0, 1000))
def test_nodes_keep_at_least_their_share(removed: float, seed: int) -> None:
    links = Links.of(GRAPH)
    after = Links.of(sparsify(GRAPH, NodeShare(), removed, seed=seed).graph)
    degree, left = links.degrees().double(), after.degrees().double()
    # What stays is the union of what nodes want at some share c: it is at least ⌈c d⌉ everywhere for the c at which
    # the last link came in, and links beyond the first of each node are there only if c > 0.
    share = ((left - 1).clamp(min=0) / degree)[degree > 0].min()
    assert bool((left >= torch.ceil(share * degree) - 1e-9).all())
    if removed < 0.4:  # fewer nodes than links that stay, in this graph
        assert bool((left[degree > 0] > 0).all())


def brute_force(links: Links, rank_by: dict[tuple[int, int], float], limit: dict[int, int]) -> set[tuple[int, int]]:
    """Returns the links that either node wants, where all values a node ranks by differ."""
    wanted = set()
    for node in range(links.num_nodes):
        mine = [pair for pair in zip(links.source.tolist(), links.target.tolist(), strict=True) if node in pair]
        mine.sort(key=lambda pair, node=node: -rank_by[node, pair[0] + pair[1] - node])
        wanted |= set(mine[: limit[node]])
    return wanted


@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.62, 0.9])
def test_local_degree_keeps_the_neighbours_of_highest_degree(exponent: float) -> None:
    # A graph in which all neighbours of a node have different degrees: nodes i and j are joined iff i + j >= n.
    n = 24
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j and i + j >= n]
    graph = Graph.from_edge_index(torch.tensor(pairs).t(), n)
    links, degree = Links.of(graph), Links.of(graph).degrees().tolist()
    # i and n - 1 - i ... have equal degrees in the middle only: break it by the node's number as the rank
    rank_by = {(i, j): degree[j] for i, j in pairs}
    if len({(i, degree[j]) for i, j in pairs}) < len(pairs):
        middle = [j for j in range(n) if degree.count(degree[j]) > 1]
        assert len(middle) == 2
    limit = {i: math.floor(degree[i] ** exponent + 1e-9) for i in range(n)}
    wanted = brute_force(links, rank_by, limit)
    found = sparsify(graph, LocalDegree(), 1.0 - len(wanted) / len(links), seed=0).graph
    left = {(min(s, t), max(s, t)) for s, t in found.to_edge_index().t().tolist()}
    assert len(left) == len(wanted)
    middle_nodes = {j for j in range(n) if degree.count(degree[j]) > 1}
    assert all(set(pair) & middle_nodes for pair in left ^ wanted), "they differ at most where degrees tie"


@pytest.mark.parametrize("exponent", [0.25, 0.5, 0.8])
def test_l_spar_is_the_union_of_what_nodes_find_most_similar(exponent: float) -> None:
    links = Links.of(GRAPH)
    similar = {}
    for s, t, value in zip(links.source.tolist(), links.target.tolist(), jaccard(links).tolist(), strict=True):
        similar[s, t] = similar[t, s] = value
    degree = links.degrees().tolist()
    least = {}  # the similarity of the last link that a node wants: those above it are wanted for sure
    for node in range(GRAPH.num_nodes):
        mine = sorted((value for (s, _), value in similar.items() if s == node), reverse=True)
        least[node] = mine[math.ceil(degree[node] ** exponent - 1e-9) - 1] if mine else 1.0
    sure = {(s, t) for (s, t), value in similar.items() if s < t and (value > least[s] or value > least[t])}
    maybe = {(s, t) for (s, t), value in similar.items() if s < t and (value >= least[s] or value >= least[t])}
    keep = LSpar().choose(links, 1.0 - len(maybe) / len(links), seed=0).keep
    left = set(zip(links.source[keep].tolist(), links.target[keep].tolist(), strict=True))
    assert sure <= left


def test_jaccard_is_that_of_networkx() -> None:
    links = Links.of(GRAPH)
    pairs = list(zip(links.source.tolist(), links.target.tolist(), strict=True))
    expected = [value for _, _, value in networkx.jaccard_coefficient(GRAPH.to_networkx(directed=False), pairs)]
    np.testing.assert_allclose(jaccard(links).numpy(), expected)
    found = sparsify(GRAPH, JaccardSimilarity(), 0.5, seed=1)
    chosen = found.keep[graph_edges(links)]
    assert float(jaccard(links)[chosen].min()) >= float(jaccard(links)[~chosen].max())


def test_jaccard_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links.of(GRAPH)
    expected = jaccard(links)
    monkeypatch.setattr("gossamer.graph.sparsify.similarity._ENTRIES", 50)
    assert torch.equal(jaccard(links), expected)


def graph_edges(links: Links) -> torch.Tensor:
    """Returns for each link one edge of it."""
    edge = torch.empty(len(links), dtype=torch.int64)
    apart = links.of_edge >= 0
    edge[links.of_edge[apart]] = apart.nonzero().squeeze(1)
    return edge


def test_rank_degree_goes_on_to_hubs() -> None:
    # Two stars whose centres are joined: whoever starts crosses to a centre first, then from centre to centre.
    pairs = [(0, leaf) for leaf in range(2, 12)] + [(1, leaf) for leaf in range(12, 22)] + [(0, 1)]
    both = torch.tensor([*pairs, *((t, s) for s, t in pairs)]).t()
    graph = Graph.from_edge_index(both, 22)
    for seed in range(10):
        found = sparsify(graph, RankDegree(share=0.01, seeds=0.01), 1.0 - 2.0 / 21.0, seed=seed)
        left = {(min(s, t), max(s, t)) for s, t in found.graph.to_edge_index().t().tolist()}
        assert len(left) == 2
        assert (0, 1) in left


def test_sparsifiers_say_their_ranges() -> None:
    with pytest.raises(SettingError, match=r"rank-degree: share is 0\.0"):
        RankDegree(share=0.0)
    with pytest.raises(SettingError, match="spectral: projections is 0"):
        Spectral(projections=0)
