from __future__ import annotations

import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from gossamer.errors import DataError, SettingError
from gossamer.graph import CSR, ByWeight, Latest, TypedSampler, typed
from tests.graph.strategies import POSITIVE

LIKES, FOLLOWS, SHOWS = ("user", "likes", "film"), ("user", "follows", "user"), ("cinema", "shows", "film")


@st.composite
def worlds(draw):
    """Returns three relations among three kinds of nodes: duplicates, isolated nodes and empty relations included."""
    sizes = {kind: draw(st.integers(1, 5)) for kind in ("user", "film", "cinema")}
    relations = {}
    for name in (LIKES, FOLLOWS, SHOWS):
        shape = (sizes[name[2]], sizes[name[0]])
        ends = st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))
        pairs = torch.tensor(draw(st.lists(ends, max_size=12)), dtype=torch.int64).reshape(-1, 2)
        values = None
        if draw(st.booleans()):
            values = torch.tensor(draw(st.lists(POSITIVE, min_size=len(pairs), max_size=len(pairs))))
        relations[name] = CSR.from_coo(pairs[:, 0], pairs[:, 1], values, shape=shape)
    return relations


def neighbours(relations, kind, node):
    """Every edge that ends at a node, as (relation, entry, kind of its source, source)."""
    for name, csr in relations.items():
        if name[2] == kind:
            for entry in range(int(csr.indptr[node]), int(csr.indptr[node + 1])):
                yield name, entry, name[0], int(csr.indices[entry])


@given(worlds(), st.integers(1, 3), st.sampled_from(["user", "film"]))
def test_with_all_edges_it_is_a_breadth_first_search(relations, hops, kind):
    sampler = TypedSampler(relations, [-1] * hops)
    seeds = torch.arange(sampler.sizes[kind])[::2]
    sample = sampler.sample(kind, seeds)
    reached, edges = {(kind, int(node)) for node in seeds}, set()
    frontier, sizes = set(reached), [dict.fromkeys(sampler.sizes, 0) | {kind: len(seeds)}]
    for _ in range(hops):
        found = [edge for node in frontier for edge in neighbours(relations, *node)]
        edges |= {edge[:2] for edge in found}
        frontier = {edge[2:] for edge in found} - reached
        reached |= frontier
        sizes.append({name: sum(one == name for one, _ in reached) for name in sampler.sizes})
    assert {(name, int(node)) for name, nodes in sample.nodes.items() for node in nodes} == reached
    assert {(name, int(entry)) for name, entries in sample.edges.items() for entry in entries} == edges
    assert sum(len(entries) for entries in sample.edges.values()) == len(edges)
    assert {name: tuple(size[name] for size in sizes) for name in sampler.sizes} == dict(sample.counts)
    assert sample.nodes[kind][: sample.num_seeds].tolist() == seeds.tolist()


@given(worlds(), st.lists(st.tuples(*[st.integers(-1, 2)] * 3), min_size=1, max_size=3), st.integers(0, 5))
def test_every_node_draws_its_fan_out_of_every_relation(relations, fanouts, seed):
    by_relation = dict(zip(relations, zip(*fanouts, strict=True), strict=True))
    sampler = TypedSampler(relations, by_relation)
    sample = sampler.sample("film", torch.arange(sampler.sizes["film"]), seed=seed)
    for name, csr in relations.items():
        source, target = sample.edge_index()[name]
        entries = sample.edges[name]
        assert len(entries.unique()) == len(entries)  # without replacement
        assert torch.equal(sample.nodes[name[2]][target], csr.rows[entries])
        assert torch.equal(sample.nodes[name[0]][source], csr.indices[entries].long())
        if csr.values is not None:
            assert torch.equal(sample.adjacency[name].values, csr.values[entries])
        drawn, degree = sample.adjacency[name].indptr.diff(), csr.indptr.diff()[sample.nodes[name[2]]]
        counts = sample.counts[name[2]]
        for hop, wanted in enumerate(by_relation[name]):
            rows = slice(0 if hop == 0 else counts[hop - 1], counts[hop])
            assert torch.equal(drawn[rows], degree[rows] if wanted < 0 else degree[rows].clamp(max=wanted))
        assert not drawn[counts[-2] :].any()


def cinema(**more):
    likes = CSR.from_coo(torch.zeros(4, dtype=torch.int64), torch.arange(4), shape=(2, 4))
    shows = CSR.from_coo(torch.zeros(3, dtype=torch.int64), torch.arange(3), shape=(2, 3))
    return TypedSampler({LIKES: likes, SHOWS: shows}, {LIKES: [2], SHOWS: [1]}, **more)


def test_times_and_picks_apply_by_relation():
    times = {LIKES: torch.tensor([1.0, 2.0, 3.0, 4.0]), SHOWS: torch.tensor([5.0, 1.0, 2.0])}
    sample = cinema(pick=Latest(), times=times).sample("film", torch.tensor([0, 0]), times=torch.tensor([3.5, 1.5]))
    assert sample.nodes["user"].tolist() == [1, 2, 0]
    assert sample.nodes["cinema"].tolist() == [2, 1]
    assert sample.roots["user"].tolist() == [0, 0, 1]
    assert sample.roots["film"].tolist() == [0, 1]
    with pytest.raises(DataError, match=r"times: of relation 'shows': found none; expected \(3,\)"):
        cinema(times={LIKES: times[LIKES]})


def test_weights_of_zero_are_never_drawn():
    weights = torch.tensor([0.0, 1.0, 0.0, 1.0])
    likes = CSR.from_coo(torch.zeros(4, dtype=torch.int64), torch.arange(4), weights, shape=(1, 4))
    sample = TypedSampler({LIKES: likes}, [3], pick=ByWeight()).sample("film", torch.tensor([0]))
    assert sample.nodes["user"].tolist() == [1, 3]


def test_batches_go_over_all_seeds_once_and_repeat_with_their_seed():
    sampler = cinema()
    batches = list(sampler.batches("film", torch.arange(2), 1, seed=3))
    assert sorted(int(batch.nodes["film"][0]) for batch in batches) == [0, 1]
    again = list(sampler.batches("film", torch.arange(2), 1, seed=3))
    for one, other in zip(batches, again, strict=True):
        assert all(torch.equal(one.nodes[kind], other.nodes[kind]) for kind in one.nodes)


def test_hetero_data_of_pytorch_geometric():
    data = HeteroData()
    data["user"].num_nodes, data["film"].num_nodes = 3, 2
    data[LIKES].edge_index = torch.tensor([[2, 0, 1, 0], [1, 1, 0, 0]])
    data[LIKES].edge_weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    data[LIKES].time = torch.tensor([1, 2, 3, 4])
    sampler = TypedSampler.from_pyg(data, [-1])
    sample = sampler.sample("film", torch.tensor([1]))
    assert sample.nodes["user"].tolist() == [0, 2]
    assert sample.adjacency[LIKES].values.tolist() == [2.0, 1.0]
    assert sample.edge_index()[LIKES].tolist() == [[0, 1], [0, 0]]
    late = TypedSampler.from_pyg(data, [1], pick=Latest(), times="time")
    assert late.sample("film", torch.tensor([0]), times=torch.tensor([4])).nodes["user"].tolist() == [1]


def test_what_is_wrong_is_named():
    with pytest.raises(DataError, match="kind of nodes 'film '"):
        cinema().sample("film ", torch.tensor([0]))
    with pytest.raises(DataError, match="seeds"):
        cinema().sample("film", torch.tensor([2]))
    with pytest.raises(DataError, match="relations: found none"):
        TypedSampler({}, [1])
    likes = CSR.from_coo(torch.zeros(1).long(), torch.zeros(1).long(), shape=(2, 4))
    with pytest.raises(DataError, match="has 4 nodes of kind 'user', another one 3"):
        TypedSampler(
            {("film", "by", "user"): CSR.from_coo(*[torch.zeros(1).long()] * 2, shape=(3, 2)), LIKES: likes}, [1]
        )
    with pytest.raises(SettingError, match="fanouts: found those of"):
        TypedSampler({LIKES: likes}, {SHOWS: [1]})
    with pytest.raises(SettingError, match="found between 1 and 2 hops"):
        TypedSampler(
            {LIKES: likes, FOLLOWS: CSR.from_coo(*[torch.zeros(1).long()] * 2, shape=(4, 4))},
            {LIKES: [1], FOLLOWS: [1, 2]},
        )


def test_the_example():
    assert doctest.testmod(typed).failed == 0
