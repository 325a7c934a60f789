from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.graph import Graph, KeptEdges, power_law
from tests.graph.strategies import graphs


def same(left: Graph, right: Graph) -> bool:
    weights = (left.weights is None) == (right.weights is None)
    if left.weights is not None and right.weights is not None:
        weights = torch.equal(left.weights, right.weights)
    return weights and torch.equal(left.to_edge_index(), right.to_edge_index())


@given(st.lists(graphs(), min_size=1, max_size=3), st.booleans(), st.data())
def test_edges_are_found_kept_and_taken_back(originals: list[Graph], reweigh: bool, data: st.DataObject) -> None:
    fewer = []
    for graph in originals:
        count = graph.num_edges
        keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=torch.bool)
        kept = int(keep.sum())
        fewer.append(graph.with_edges(keep, torch.arange(kept) + 0.5 if reweigh else None))
    found = KeptEdges.between(originals, fewer)
    again = KeptEdges.from_arrays(found.arrays(), found.record())
    for back in (found.of(originals), again.of(originals)):
        for one, other in zip(back, fewer, strict=True):
            place = lambda graph: graph.adjacency.to_dense()  # noqa: E731  parallel edges may have changed places
            torch.testing.assert_close(place(one), place(other))
            assert one.num_edges == other.num_edges
    assert found.arrays()["keep"].numel() == -(-sum(graph.num_edges for graph in originals) // 8)


def test_another_graph_is_refused() -> None:
    graph = power_law(30, 60, seed=0)
    keep = torch.rand(graph.num_edges) < 0.5
    kept = KeptEdges.between([graph], [graph.with_edges(keep)])
    assert same(kept.of([graph])[0], graph.with_edges(keep))
    weighted = dataclasses.replace(graph, adjacency=graph.adjacency.with_values(torch.ones(graph.num_edges)))
    moved = Graph.from_edge_index((graph.to_edge_index() + 1) % 30, 30)
    for other in ([power_law(30, 50, seed=0)], [moved], [weighted], [graph, graph], []):
        with pytest.raises(DataError, match=r"another graph.*expected the graph of 60 edges"):
            kept.of(other)


def test_only_edges_of_the_graph_can_be_kept() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0, 1], [1, 2]]), 3)
    with pytest.raises(DataError, match="has an edge that the original has not"):
        KeptEdges.between([graph], [Graph.from_edge_index(torch.tensor([[0], [2]]), 3)])
    with pytest.raises(DataError, match="4 nodes, expected 3"):
        KeptEdges.between([graph], [Graph.from_edge_index(torch.tensor([[0], [1]]), 4)])
    with pytest.raises(DataError, match="found 0 graphs, expected 1"):
        KeptEdges.between([graph], [])


def test_a_damaged_record_is_refused() -> None:
    graph = power_law(30, 60, seed=0)
    kept = KeptEdges.between([graph], [graph.with_edges(torch.rand(graph.num_edges) < 0.5)])
    with pytest.raises(ValueError, match="expected"):
        KeptEdges.from_arrays(kept.arrays(), {**kept.record(), "kept": 0})
    with pytest.raises(KeyError):
        KeptEdges.from_arrays({}, kept.record())


@given(graphs(), st.data())
def test_with_edges_leaves_those_that_are_named(graph: Graph, data: st.DataObject) -> None:
    count = graph.num_edges
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=torch.bool)
    marked = dataclasses.replace(graph, edge_data={"number": torch.arange(count)})
    fewer = marked.with_edges(keep)
    assert torch.equal(fewer.to_edge_index(), graph.to_edge_index()[:, keep])
    assert torch.equal(fewer.edge_data["number"], keep.nonzero().squeeze(1))
    with pytest.raises(DataError, match="expected bool"):
        graph.with_edges(torch.ones(count + 1, dtype=torch.bool))
