from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.graph import Graph, Links
from tests.graph.strategies import graphs


@given(graphs(), st.booleans())
def test_links_are_the_pairs_that_edges_join(graph: Graph, undirected: bool) -> None:
    graph = graph.to_undirected() if undirected else graph
    links = Links.of(graph)
    source, target = graph.to_edge_index().tolist()
    pairs = [(s, t) for s, t in zip(source, target, strict=True) if s != t]
    if graph.is_undirected():
        pairs = [(min(pair), max(pair)) for pair in pairs]
    assert list(zip(links.source.tolist(), links.target.tolist(), strict=True)) == sorted(set(pairs))
    assert links.undirected == graph.is_undirected()
    assert torch.equal(links.of_edge < 0, graph.adjacency.rows == graph.adjacency.indices)


@given(graphs(), st.booleans())
def test_a_link_weighs_what_one_direction_does(graph: Graph, undirected: bool) -> None:
    graph = graph.to_undirected() if undirected else graph
    links = Links.of(graph)
    dense = graph.adjacency.to_dense()  # row = target
    torch.testing.assert_close(links.weight, dense[links.target, links.source])


@given(graphs(), st.data())
def test_edges_stay_with_their_link_and_loops_always(graph: Graph, data: st.DataObject) -> None:
    graph = graph.to_undirected()
    links = Links.of(graph)
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(links), max_size=len(links))), dtype=torch.bool)
    fewer = graph.with_edges(links.edges(keep))
    assert fewer.is_undirected()
    loops = (graph.adjacency.rows == graph.adjacency.indices).sum()
    assert (fewer.adjacency.rows == fewer.adjacency.indices).sum() == loops
    assert len(Links.of(fewer)) == int(keep.sum())


@given(graphs())
def test_degrees_count_links_whatever_their_direction(graph: Graph) -> None:
    links = Links.of(graph)
    counted = torch.bincount(torch.cat([links.source, links.target]), minlength=graph.num_nodes)
    assert torch.equal(links.degrees(), counted)
