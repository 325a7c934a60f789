from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.graph import Bias, Graph, GrowingGraph, TemporalWalker, from_every_node
from gossamer.kernels import native


def stream(seed: int, nodes: int, events: int, *, ties: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes, (2, events), generator=random)
    time = torch.randint(max(events // 3, 1), (events,), generator=random) if ties else torch.randperm(events)
    return edges[0], edges[1], time.sort().values


def grown(parts: list[int], source: torch.Tensor, target: torch.Tensor, time: torch.Tensor, bias: Bias) -> GrowingGraph:
    graph = GrowingGraph(bias=bias)
    begin = 0
    for end in [*sorted(parts), len(source)]:
        graph.extend(source[begin:end], target[begin:end], time[begin:end])
        begin = end
    return graph


def rebuilt(nodes: int, source: torch.Tensor, target: torch.Tensor, time: torch.Tensor) -> Graph:
    return Graph.from_edge_index(torch.stack([source, target]), nodes, edge_data={"time": time.double()})


def events(graph: Graph) -> list[tuple[int, int, float]]:
    source, target = graph.to_edge_index()
    return sorted(zip(source.tolist(), target.tolist(), graph.edge_data["time"].tolist(), strict=True))


@given(
    st.integers(0, 99), st.integers(1, 9), st.integers(0, 80), st.lists(st.integers(0, 80), max_size=6), st.booleans()
)
def test_what_was_appended_is_there(seed, nodes, count, parts, ties):
    source, target, time = stream(seed, nodes, count, ties=ties)
    parts = [min(part, count) for part in parts]
    graph = grown(parts, source, target, time, Bias.LATE)
    assert graph.num_edges == count
    assert events(graph.graph()) == events(rebuilt(graph.num_nodes, source, target, time))


@given(st.integers(0, 99), st.integers(1, 80), st.lists(st.integers(0, 80), max_size=6), st.sampled_from(list(Bias)))
def test_walks_are_those_of_a_graph_built_anew(seed, count, parts, bias):
    source, target, time = stream(seed, 7, count, ties=False)
    graph = grown([min(part, count) for part in parts], source, target, time, bias)
    anew = rebuilt(graph.num_nodes, source, target, time)
    starts = from_every_node(anew, 3)
    assert torch.equal(graph.walk(starts, 5, seed=seed), TemporalWalker(anew, bias=bias).walk(starts, 5, seed=seed))


@given(st.integers(0, 99), st.integers(1, 80), st.sampled_from(list(Bias)))
def test_walks_without_native_kernels_are_the_same(seed, count, bias):
    graph = grown([count // 2], *stream(seed, 7, count, ties=True), bias)
    starts = torch.arange(graph.num_nodes).repeat(4)
    walks = graph.walk(starts, 4, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "kernels", lambda: None)
        assert torch.equal(graph.walk(starts, 4, seed=seed), walks)


def test_memory_stays_in_proportion():
    graph = GrowingGraph()
    source = torch.randint(50, (20_000,), generator=torch.Generator().manual_seed(0))
    for begin in range(0, 20_000, 100):
        graph.extend(source[begin : begin + 100], source[begin : begin + 100], torch.arange(begin, begin + 100))
    assert len(graph._ends) < 10 * 20_000


@pytest.mark.parametrize(
    ("source", "time", "message"),
    [
        ([0, 1], [4, 3], "times fall"),
        ([0, 1], [1, 5], "come before 2"),
        ([0, -1], [4, 5], "outside 0"),
        ([0], [4, 5], "1 sources, 2 targets"),
    ],
)
def test_wrong_events_are_refused_and_nothing_is_appended(source, time, message):
    graph = GrowingGraph()
    graph.extend(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([1, 2]))
    with pytest.raises(DataError, match=message):
        graph.extend(torch.tensor(source), torch.tensor([0, 1]), torch.tensor(time))
    assert (graph.num_edges, graph.num_nodes, graph.last) == (2, 2, 2.0)
