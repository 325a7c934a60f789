from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gossamer.errors import DataError, SettingError
from gossamer.graph import Bias, Graph, TemporalWalker, Walker, from_every_node, power_law
from tests.graph.strategies import graphs


def check_edges(graph, nodes, edges):
    """Every step takes an edge of the graph; after the end there is nothing."""
    source, target = graph.to_edge_index()
    taken = edges >= 0
    assert torch.equal(nodes[:, 1:] >= 0, taken)
    assert torch.equal(source[edges[taken]], nodes[:, :-1][taken])
    assert torch.equal(target[edges[taken]], nodes[:, 1:][taken])
    assert (taken[:, :-1] | ~taken[:, 1:]).all()


@given(graphs(), st.sampled_from([(1.0, 1.0), (0.25, 4.0), (3.0, 0.5)]), st.integers(0, 99))
def test_walks_follow_edges_until_there_is_none(graph, bias, seed):
    walker = Walker(graph, p=bias[0], q=bias[1])
    starts = from_every_node(graph, 3)
    nodes, edges = walker.trace(starts, 4, seed=seed)
    assert torch.equal(nodes[:, 0], starts)
    check_edges(graph, nodes, edges)
    assert torch.equal(walker.walk(starts, 4, seed=seed), nodes)
    weights = torch.ones(graph.num_edges) if graph.weights is None else graph.weights
    leaving = torch.zeros(graph.num_nodes).index_add(0, graph.to_edge_index()[0], weights) > 0
    stuck = (nodes[:, :-1] >= 0) & (edges < 0)
    assert not leaving[nodes[:, :-1][stuck]].any()
    assert (weights[edges[edges >= 0]] > 0).all()


def test_first_order_steps_follow_the_weights():
    graph = Graph.from_edge_index(torch.tensor([[0, 0, 0, 0], [1, 2, 3, 3]]), 4, torch.tensor([1.0, 2.0, 0.0, 5.0]))
    starts = torch.zeros(4000, dtype=torch.int64)
    _, edges = Walker(graph).trace(starts, 1, seed=2)
    observed = torch.bincount(edges[:, 0], minlength=4)
    assert observed[2] == 0
    assert stats.chisquare(observed[[0, 1, 3]].numpy(), np.array([1, 2, 5]) * 500.0).pvalue > 1e-3
    plain = torch.bincount(Walker(graph, weighted=False).trace(starts, 1, seed=2)[1][:, 0], minlength=4)
    assert stats.chisquare(plain.numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("p", "q"), [(0.5, 2.0), (4.0, 0.25), (2.0, 3.0), (0.2, 0.2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_second_order_steps_follow_the_equation(p, q, weighted):
    # 0 - 1 is a tail of the kite 1 - 2, 1 - 3, 2 - 3, 1 - 4: from 1, node 0 or 4 is far from 2, and 3 is near.
    pairs = torch.tensor([[0, 1, 1, 2, 1], [1, 2, 3, 3, 4]])
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    graph = Graph.from_edge_index(torch.cat([pairs, pairs.flip(0)], 1), 5, weights.repeat(2))
    nodes = Walker(graph, p=p, q=q, weighted=weighted).walk(torch.full((12_000,), 2), 2, seed=1)
    third = nodes[nodes[:, 1] == 1][:, 2]
    weight = {0: 1.0, 2: 2.0, 3: 0.5, 4: 3.0} if weighted else dict.fromkeys((0, 2, 3, 4), 1.0)
    share = np.array([weight[0] / q, weight[2] / p, weight[3], weight[4] / q])
    observed = torch.bincount(third, minlength=5)
    assert observed[1] == 0
    assert stats.chisquare(observed[[0, 2, 3, 4]].numpy(), share / share.sum() * len(third)).pvalue > 1e-3


def temporal(nodes=8, edges=60, seed=0, most=12):
    random = torch.Generator().manual_seed(seed)
    time = torch.randint(most, (edges,), generator=random)
    return Graph.from_edge_index(torch.randint(nodes, (2, edges), generator=random), nodes, edge_data={"time": time})


@given(st.integers(0, 200), st.sampled_from(list(Bias)), st.integers(0, 60), st.booleans())
def test_times_rise_strictly_and_walks_go_on_while_they_can(seed, bias, edges, given_times):
    graph = temporal(edges=edges, seed=seed)
    walker, starts = TemporalWalker(graph, bias=bias), from_every_node(graph, 4)
    time = graph.edge_data["time"]
    after = torch.full_like(starts, int(time.min()) if edges else 0)
    if given_times:
        after = torch.randint(-1, 13, after.shape, generator=torch.Generator().manual_seed(seed))
    nodes, taken = walker.trace(starts, 5, after=after if given_times else None, seed=seed)
    check_edges(graph, nodes, taken)
    assert torch.equal(nodes, walker.walk(starts, 5, after=after if given_times else None, seed=seed))
    source = graph.to_edge_index()[0]
    for walk, path, moment in zip(nodes.tolist(), taken.tolist(), after.tolist(), strict=True):
        now = moment
        for node, edge in zip(walk, path, strict=False):
            if edge < 0:
                assert node < 0 or not ((source == node) & (time > now)).any()
                break
            assert time[edge] > now
            now = int(time[edge])


@pytest.mark.parametrize("bias", list(Bias))
def test_steps_in_time_follow_the_equation(bias):
    # All edges leave node 0; times span 8, and a walk at time 3 may take the last four.
    time = torch.tensor([2.0, 3.0, 4.0, 7.0, 7.0, 10.0], dtype=torch.float64)
    edges = torch.stack([torch.zeros(6, dtype=torch.int64), torch.arange(1, 7)])
    graph = Graph.from_edge_index(edges, 7, edge_data={"time": time})
    starts = torch.zeros(8000, dtype=torch.int64)
    after = torch.full((8000,), 3.0, dtype=torch.float64)
    nodes = TemporalWalker(graph, bias=bias).walk(starts, 1, after=after, seed=3)
    sign = {Bias.LATE: 1.0, Bias.SOON: -1.0, Bias.NONE: 0.0}[bias]
    share = np.array([math.exp(sign * (t - 3.0) / 8.0) for t in (4.0, 7.0, 7.0, 10.0)])
    observed = torch.bincount(nodes[:, 1], minlength=7)
    assert observed[:3].sum() == 0
    assert stats.chisquare(observed[3:].numpy(), share / share.sum() * 8000).pvalue > 1e-3


def test_edges_of_the_earliest_time_are_never_first():
    graph = Graph.from_edge_index(torch.tensor([[0, 0, 1], [1, 2, 2]]), 3, edge_data={"time": torch.tensor([0, 1, 1])})
    walker = TemporalWalker(graph)
    assert walker.walk(torch.tensor([0, 1, 2]), 2).tolist() == [[0, 2, -1], [1, 2, -1], [2, -1, -1]]
    before = torch.full((1,), -1)
    starts = {tuple(walker.walk(torch.tensor([0]), 2, after=before, seed=s)[0].tolist()) for s in range(30)}
    assert starts == {(0, 1, 2), (0, 2, -1)}


def test_threads_change_nothing():
    graph = power_law(2000, 20_000)
    time = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(0))
    graph = Graph(graph.adjacency, edge_data={"time": time})
    walkers, starts = (Walker(graph), Walker(graph, p=0.5, q=2.0), TemporalWalker(graph)), from_every_node(graph, 2)
    results = []
    for threads in (1, 2, 7):
        torch.set_num_threads(threads)
        results.append([walker.walk(starts, 6, seed=9) for walker in walkers])
    for other in results[1:]:
        assert all(map(torch.equal, other, results[0]))


def test_a_walk_keeps_its_numbers_whoever_else_walks():
    walker = Walker(power_law(100, 800))
    starts = torch.arange(100)
    assert torch.equal(walker.walk(starts, 5)[:40], walker.walk(starts[:40], 5))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: Walker(g, p=0.0), SettingError, "p=0.0, q=1.0; expected both above 0"),
        (lambda g: Walker(g, q=math.inf), SettingError, "expected both above 0 and finite"),
        (lambda g: Walker(g).walk(torch.tensor([8]), 1), DataError, "starts: holds node 8; expected 0 to 7"),
        (lambda g: Walker(g).walk(torch.tensor([-1]), 1), DataError, "starts: holds node -1"),
        (lambda g: Walker(g).walk(torch.ones(2), 1), DataError, "starts: found torch.float32"),
        (lambda g: Walker(g).walk(torch.tensor([1]), -1), SettingError, "steps: found -1"),
        (lambda g: TemporalWalker(g, times="when"), DataError, r"edge_data: holds \['time'\]; expected 'when'"),
        (
            lambda g: TemporalWalker(g).walk(torch.tensor([1]), 1, after=torch.ones(2)),
            DataError,
            r"after: shape \(2,\); expected \(1,\)",
        ),
        (lambda g: from_every_node(g, 0), SettingError, "per_node: found 0"),
    ],
)
def test_errors_name_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(temporal())
