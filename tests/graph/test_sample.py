from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gossamer.errors import DataError, SettingError
from gossamer.graph import (
    CSR,
    ByWeight,
    Graph,
    Latest,
    NeighborSampler,
    Uniform,
    csbm,
    induced,
    power_law,
    random_graph,
)
from tests.graph.strategies import graphs


def star(leaves, weights=None, **more):
    """Returns a graph in which nodes 1, 2, ... all point at node 0."""
    edges = torch.stack([torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.int64)])
    return Graph.from_edge_index(edges, leaves + 1, weights, **more)


@given(graphs(), st.lists(st.integers(-1, 3), min_size=1, max_size=3), st.booleans(), st.data())
def test_a_sample_is_a_part_of_the_graph(graph, fanouts, repeats, data):
    seeds = torch.tensor(data.draw(st.lists(st.integers(0, graph.num_nodes - 1), unique=True)), dtype=torch.int64)
    sample = NeighborSampler(graph, fanouts, pick=Uniform(repeats=repeats)).sample(seeds, seed=3)
    assert sample.nodes[: sample.num_seeds].tolist() == seeds.tolist()
    assert len(sample.nodes.unique()) == len(sample.nodes) == sample.graph.num_nodes == sample.counts[-1]
    whole, part = graph.to_edge_index()[:, sample.edges], sample.graph.to_edge_index()
    assert torch.equal(sample.nodes[part], whole)
    if graph.weights is not None:
        assert torch.equal(sample.graph.weights, graph.weights[sample.edges])
    degree, drawn = graph.degrees()[sample.nodes], sample.graph.degrees()
    for hop, wanted in enumerate(fanouts):
        rows = slice(0 if hop == 0 else sample.counts[hop - 1], sample.counts[hop])
        full = torch.full_like(degree[rows], wanted) * (degree[rows] > 0 if repeats else 1)
        expected = degree[rows] if wanted < 0 else full if repeats else degree[rows].clamp(max=wanted)
        assert torch.equal(drawn[rows], expected)
    assert drawn[sample.counts[-2] :].sum() == 0


@given(graphs(), st.integers(0, 3))
def test_with_all_edges_the_seeds_are_computed_exactly(graph, hops):
    # Counting walks: k products with the adjacency reach k hops.
    seeds = torch.arange(graph.num_nodes)[::2]
    sample = NeighborSampler(graph, [-1] * (hops + 1)).sample(seeds)
    whole, part = torch.rand(graph.num_nodes, 2), None
    part = whole[sample.nodes]
    x = whole
    for _ in range(hops + 1):
        x, part = graph.aggregate(x), sample.graph.aggregate(part)
    torch.testing.assert_close(part[: len(seeds)], x[seeds])
    y = whole[sample.nodes]
    for block in sample.blocks():
        y = block.matmul(y[: block.shape[1]])
    torch.testing.assert_close(y, x[seeds])


def test_blocks_fit_each_other():
    sample = NeighborSampler(power_law(300, 3000), [5, 3, 2]).sample(torch.arange(10))
    shapes = [block.shape for block in sample.blocks()]
    c = sample.counts
    assert shapes == [(c[2], c[3]), (c[1], c[2]), (c[0], c[1])]
    assert len(sample.edges) == sample.blocks()[0].nnz


def counts_of_sets(sampler, tries=3000, **more):
    found = {}
    for seed in range(tries):
        chosen = tuple(sorted(sampler.sample(torch.tensor([0]), seed=seed, **more).edges.tolist()))
        found[chosen] = found.get(chosen, 0) + 1
    return found


@pytest.mark.parametrize(("leaves", "count"), [(5, 2), (4, 3), (9, 1)])
def test_without_replacement_every_set_is_equally_likely(leaves, count):
    # (4, 3) and (5, 2) take selection sampling and Floyd's algorithm where 9 > 64 and 4 > 80 fail or hold.
    found = counts_of_sets(NeighborSampler(star(leaves), [count]))
    assert set(found) == set(itertools.combinations(range(leaves), count))
    assert stats.chisquare(list(found.values())).pvalue > 1e-3


def test_selection_sampling_is_uniform_too():
    sampler = NeighborSampler(star(22), [20])  # 400 > 16 · 22
    left_out = np.zeros(22)
    for seed in range(2000):
        rest = set(range(22)) - set(sampler.sample(torch.tensor([0]), seed=seed).edges.tolist())
        left_out[list(rest)] += 1
    assert left_out.sum() == 4000
    # Two of 22 are left out each time; counts of a fixed-size draw vary less than multinomial ones, by (22 - 2) / 21.
    statistic = stats.chisquare(left_out).statistic * 21 / 20
    assert 1e-3 < stats.chi2.sf(statistic, 21) < 1 - 1e-3


def test_with_replacement_draws_are_independent():
    sampler = NeighborSampler(star(3), [2], pick=Uniform(repeats=True))
    pairs = np.zeros((3, 3))
    for seed in range(3000):
        first, second = sampler.sample(torch.tensor([0]), seed=seed).edges.tolist()
        pairs[first, second] += 1
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-3


WEIGHTS = [1.0, 2.0, 0.0, 4.0, 0.5]


def test_weights_without_replacement_follow_successive_draws():
    found = counts_of_sets(NeighborSampler(star(5, torch.tensor(WEIGHTS)), [2], pick=ByWeight()), tries=6000)
    total, expected = sum(WEIGHTS), {}
    for first, second in itertools.permutations(range(5), 2):
        chance = WEIGHTS[first] / total * WEIGHTS[second] / (total - WEIGHTS[first])
        pair = tuple(sorted((first, second)))
        expected[pair] = expected.get(pair, 0.0) + chance
    possible = {pair: chance for pair, chance in expected.items() if chance > 0}
    assert set(found) == set(possible)
    assert math.isclose(sum(possible.values()), 1.0)
    observed = [found[pair] for pair in possible]
    assert stats.chisquare(observed, [6000 * chance for chance in possible.values()]).pvalue > 1e-3


def test_weights_with_replacement_follow_the_weights():
    sampler = NeighborSampler(star(5, torch.tensor(WEIGHTS)), [50], pick=ByWeight(repeats=True))
    drawn = torch.cat([sampler.sample(torch.tensor([0]), seed=seed).edges for seed in range(60)])
    observed = torch.bincount(drawn, minlength=5)
    assert observed[2] == 0
    kept = [0, 1, 3, 4]
    expected = [3000 * WEIGHTS[k] / sum(WEIGHTS) for k in kept]
    assert stats.chisquare(observed[kept].numpy(), expected).pvalue > 1e-3


def timed():
    time = torch.tensor([5.0, 1.0, 3.0, 3.0, 2.0, 9.0])
    return star(6, edge_data={"time": time})


def test_only_earlier_edges_are_drawn_and_the_latest_of_them():
    sampler = NeighborSampler(timed(), [2], pick=Latest(), times="time")
    sample = sampler.sample(torch.tensor([0, 0, 0, 0]), times=torch.tensor([3.0, 4.0, 1.0, 100.0]))
    drawn = [sample.edges[sample.graph.adjacency.rows == row].tolist() for row in range(4)]
    assert drawn == [[1, 4], [2, 3], [], [0, 5]]  # 3.0 is not before 3.0
    assert sample.roots.tolist() == [0, 1, 2, 3, 0, 0, 1, 1, 3, 3]


def test_earlier_edges_are_equally_likely():
    sampler = NeighborSampler(timed(), [2], times="time")
    found = counts_of_sets(sampler, times=torch.tensor([4.0]))
    assert set(found) == set(itertools.combinations([1, 2, 3, 4], 2))
    assert stats.chisquare(list(found.values())).pvalue > 1e-3


@given(st.integers(0, 50), st.sampled_from([Uniform(), Uniform(repeats=True), Latest(), ByWeight()]))
def test_at_every_hop_edges_are_strictly_earlier(seed, pick):
    random = torch.Generator().manual_seed(seed)
    edges = torch.randint(20, (2, 120), generator=random)
    time = torch.randint(10, (120,), generator=random)
    graph = Graph.from_edge_index(edges, 20, torch.rand(120, generator=random), edge_data={"time": time})
    seeds, until = torch.randint(20, (6,), generator=random), torch.randint(12, (6,), generator=random)
    sample = NeighborSampler(graph, [4, 3, 2], pick=pick, times="time").sample(seeds, times=until, seed=seed)
    root = sample.roots[sample.graph.adjacency.rows]
    assert (sample.graph.edge_data["time"] < until[root]).all()
    assert torch.equal(sample.roots[sample.graph.adjacency.indices.long()], root)
    assert torch.equal(sample.nodes[sample.graph.to_edge_index()], graph.to_edge_index()[:, sample.edges])


def test_every_type_has_its_own_fanouts():
    kind = torch.tensor([0, 1, 0, 1, 2, 0, 0])
    sampler = NeighborSampler(star(7, edge_data={"type": kind}), [[2, 1, 5]], types="type")
    for seed in range(20):
        drawn = kind[sampler.sample(torch.tensor([0]), seed=seed).edges]
        assert drawn.tolist() == [0, 0, 1, 2]
    found = {e for s in range(40) for e in sampler.sample(torch.tensor([0]), seed=s).edges.tolist()}
    assert found == set(range(7))


def test_threads_change_nothing():
    graph, samples = power_law(20_000, 200_000), []
    for threads in (1, 2, 7):
        torch.set_num_threads(threads)
        samples.append(NeighborSampler(graph, [15, 10, 5]).sample(torch.arange(300), seed=1))
    for other in samples[1:]:
        assert torch.equal(other.nodes, samples[0].nodes)
        assert torch.equal(other.edges, samples[0].edges)
        assert torch.equal(other.graph.adjacency.indices, samples[0].graph.adjacency.indices)


def test_batches_hold_every_seed_once_in_an_order_of_their_own():
    sampler, seeds = NeighborSampler(random_graph(50, 200), [2]), torch.arange(0, 50, 2)
    orders = []
    for seed in (0, 0, 1):
        batches = list(sampler.batches(seeds, 8, seed=seed))
        assert [batch.num_seeds for batch in batches] == [8, 8, 8, 1]
        orders.append(torch.cat([batch.nodes[: batch.num_seeds] for batch in batches]).tolist())
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == seeds.tolist()
    plain = [batch.nodes[: batch.num_seeds].tolist() for batch in sampler.batches(seeds, 20, shuffle=False)]
    assert plain == [seeds[:20].tolist(), seeds[20:].tolist()]


def test_what_is_known_about_nodes_comes_along():
    graph = csbm(40, features=3)
    sample = NeighborSampler(graph, [3, 3]).sample(torch.tensor([5, 2]))
    assert torch.equal(sample.graph.x, graph.x[sample.nodes])
    assert torch.equal(sample.graph.y, graph.y[sample.nodes])
    sparse = Graph(graph.adjacency, x=CSR.from_dense(graph.x))
    assert torch.equal(NeighborSampler(sparse, [3, 3]).sample(torch.tensor([5, 2])).graph.x.to_dense(), sample.graph.x)


@given(graphs(), st.data())
def test_induced_is_that_of_the_graph(graph, data):
    nodes = torch.tensor(data.draw(st.lists(st.integers(0, graph.num_nodes - 1), unique=True)), dtype=torch.int64)
    part, expected = induced(graph, nodes), graph.induced(nodes)
    assert torch.equal(part.graph.adjacency.to_dense(), expected.adjacency.to_dense())
    assert torch.equal(nodes[part.graph.to_edge_index()], graph.to_edge_index()[:, part.edges])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: NeighborSampler(g, []), SettingError, "fanouts: found none"),
        (lambda g: NeighborSampler(g, [-2]), SettingError, r"fanouts: found \[-2\]; expected 1 numbers of at least -1"),
        (lambda g: NeighborSampler(g, [[1, 2]]), SettingError, "expected 1 numbers"),
        (lambda g: NeighborSampler(g, [1], pick=Latest()), SettingError, "Latest: needs the times"),
        (lambda g: NeighborSampler(g, [1], times="when"), DataError, r"edge_data: holds \[\]; expected 'when'"),
        (lambda g: NeighborSampler(g, [1], types="kind"), DataError, r"edge_data: holds \[\]; expected 'kind'"),
        (
            lambda g: NeighborSampler(g, [1]).sample(torch.tensor([9])),
            DataError,
            "seeds: holds node 9; expected 0 to 3",
        ),
        (lambda g: NeighborSampler(g, [1]).sample(torch.tensor([1, 1])), DataError, "2 nodes, 1 of them distinct"),
        (lambda g: NeighborSampler(g, [1]).sample(torch.tensor([1]), times=torch.ones(1)), DataError, "no times"),
        (lambda g: list(NeighborSampler(g, [1]).batches(torch.tensor([1]), 0)), SettingError, "size: found 0"),
        (lambda g: induced(g, torch.tensor([1, 1])), DataError, "given twice"),
    ],
)
def test_errors_name_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(star(3))


def test_negative_weights_are_an_error():
    with pytest.raises(DataError, match="weights: found a negative one"):
        NeighborSampler(star(2, torch.tensor([1.0, -1.0])), [1], pick=ByWeight())
