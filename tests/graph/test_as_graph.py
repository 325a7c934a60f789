import gc
import weakref

import pytest
import torch
from torch.testing import assert_close

from gossamer.errors import DataError
from gossamer.graph import Graph, as_graph
from gossamer.graph.as_graph import GraphCache

EDGES = [[2, 0, 1], [0, 1, 2]]
DENSE = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_a_graph_stays_what_it_is():
    graph = Graph.from_edge_index(torch.tensor(EDGES))
    assert as_graph(graph, 3) is graph
    with pytest.raises(DataError, match="the graph has 3 nodes, but the features have 4 rows"):
        as_graph(graph, 4)
    with pytest.raises(DataError, match="a graph was expected, found list"):
        as_graph(EDGES, 3)


def test_the_same_tensor_gives_the_same_graph_until_it_changes():
    edges = torch.tensor(EDGES)
    first = as_graph(edges, 3)
    assert as_graph(edges, 3) is first
    assert_close(first.adjacency.to_dense(), DENSE)
    assert as_graph(edges.clone(), 3) is not first
    assert as_graph(edges, 4).num_nodes == 4
    edges[0, 0] = 1
    changed = as_graph(edges, 3)
    assert changed is not first
    assert changed.to_edge_index().tolist() == [[1, 0, 1], [0, 1, 2]]


def test_a_graph_leaves_with_its_tensor():
    cache = GraphCache()
    edges = torch.tensor(EDGES)
    gone = weakref.ref(cache.get(edges, 3))
    gc.collect()
    assert gone() is not None
    del edges
    gc.collect()
    assert gone() is None
    assert len(cache) == 0


def test_the_longest_unused_leaves_first():
    cache = GraphCache(size=2)
    first, second, third = (torch.tensor(EDGES) for _ in range(3))
    kept, dropped = cache.get(first, 3), cache.get(second, 3)
    cache.get(first, 3)
    cache.get(third, 3)
    assert len(cache) == 2
    assert cache.get(first, 3) is kept
    assert cache.get(second, 3) is not dropped


@pytest.mark.parametrize("convert", [torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_coo])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state:UserWarning")
def test_sparse_tensors_hold_targets_as_rows(convert):
    graph = as_graph(convert(DENSE * 2), 3)
    assert_close(graph.adjacency.to_dense(), DENSE * 2)
    with pytest.raises(DataError, match="does not fit features of 4 rows"):
        as_graph(convert(DENSE), 4)


@pytest.mark.filterwarnings("ignore:Sparse CSC tensor support is in beta state:UserWarning")
def test_other_layouts_are_refused():
    with pytest.raises(DataError, match=r"convert it with \.to_sparse_csr"):
        as_graph(DENSE.to_sparse_csc(), 3)


def test_inference_tensors_are_read_each_time():
    with torch.inference_mode():
        edges = torch.tensor(EDGES)
        assert_close(as_graph(edges, 3).adjacency.to_dense(), DENSE)
        edges[0, 0] = 1
        assert as_graph(edges, 3).to_edge_index()[0, 0] == 1
