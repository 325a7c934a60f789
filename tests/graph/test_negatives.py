from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gossamer.errors import DataError, SettingError
from gossamer.graph import Graph, NegativeSampler
from tests.graph.strategies import graphs


def taken(graph, loops):
    edges = set(map(tuple, graph.to_edge_index().T.tolist()))
    return edges | (set() if loops else {(v, v) for v in range(graph.num_nodes)})


@given(graphs(), st.booleans(), st.integers(0, 99))
def test_no_negative_is_an_edge(graph, loops, seed):
    sampler, edges = NegativeSampler(graph, loops=loops), taken(graph, loops)
    assert len(sampler) == graph.num_nodes**2 - len(edges)
    if len(sampler):
        assert not edges & set(map(tuple, sampler.pairs(30, seed=seed).T.tolist()))
    free = [v for v in range(graph.num_nodes) if any((v, w) not in edges for w in range(graph.num_nodes))]
    for source, row in zip(free, sampler.targets(torch.tensor(free, dtype=torch.int64), 5, seed=seed), strict=True):
        assert not edges & {(source, target) for target in row.tolist()}


def test_free_pairs_and_targets_are_equally_likely():
    graph = Graph.from_edge_index(torch.tensor([[0, 0, 1, 3], [1, 2, 3, 0]]), 4)
    sampler, edges = NegativeSampler(graph), taken(graph, loops=False)
    pairs = sampler.pairs(4000, seed=1)
    observed = torch.bincount(pairs[0] * 4 + pairs[1], minlength=16)
    free = [s * 4 + t for s in range(4) for t in range(4) if (s, t) not in edges]
    assert stats.chisquare(observed[free].numpy()).pvalue > 1e-3
    targets = sampler.targets(torch.tensor([1, 2]), 2000, seed=2)
    for source, row in zip((1, 2), targets, strict=True):
        allowed = [t for t in range(4) if (source, t) not in edges]
        assert stats.chisquare(torch.bincount(row, minlength=4)[allowed].numpy()).pvalue > 1e-3


@given(graphs(), st.data())
def test_pairs_are_of_some_nodes_only_and_all_of_those_pairs_come(graph, data):
    some = data.draw(st.lists(st.integers(0, graph.num_nodes - 1), max_size=5)) if graph.num_nodes else []
    among, edges = torch.tensor(some, dtype=torch.int64), taken(graph, loops=False)
    sampler = NegativeSampler(graph, among=among)
    free = {(v, w) for v in some for w in some} - edges
    assert len(sampler) == len(free)
    if free:
        assert set(map(tuple, sampler.pairs(2000, seed=1).T.tolist())) == free
    counts = [sum(pair[0] == v for pair in free) for v in some]
    assert sampler.free(among).tolist() == counts
    left = [v for v, count in zip(some, counts, strict=True) if count]
    for source, row in zip(left, sampler.targets(torch.tensor(left, dtype=torch.int64), 9).tolist(), strict=True):
        assert {(source, target) for target in row} <= free


def test_a_seed_says_which():
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 50)
    sampler = NegativeSampler(graph)
    assert torch.equal(sampler.pairs(20, seed=4), sampler.pairs(20, seed=4))
    assert not torch.equal(sampler.pairs(20, seed=4), sampler.pairs(20, seed=5))


def test_errors_name_what_is_wrong():
    both = Graph.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2)
    with pytest.raises(DataError, match="every pair of the 2 nodes is an edge"):
        NegativeSampler(both).pairs(1)
    with pytest.raises(DataError, match="sources: node 1 is not one that pairs are of"):
        NegativeSampler(both, among=torch.tensor([0])).free(torch.tensor([1]))
    with pytest.raises(DataError, match="among: holds node 7"):
        NegativeSampler(both, among=torch.tensor([7]))
    with pytest.raises(DataError, match="sources: node 1 is joined to every node"):
        NegativeSampler(both).targets(torch.tensor([1]), 1)
    with pytest.raises(DataError, match="sources: holds node 2"):
        NegativeSampler(both).targets(torch.tensor([2]), 1)
    with pytest.raises(SettingError, match="count: found 0; expected at least 1"):
        NegativeSampler(both).targets(torch.tensor([1]), 0)
    with pytest.raises(SettingError, match="count: found -1"):
        NegativeSampler(both).pairs(-1)
