import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from torch.testing import assert_close
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import to_scipy_sparse_matrix

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph

from .strategies import graphs


def assert_same(left, right):
    assert torch.equal(left.to_edge_index(), right.to_edge_index())
    assert (left.weights is None) == (right.weights is None)
    if left.weights is not None:
        assert torch.equal(left.weights, right.weights)


@given(graphs())
def test_pyg_there_and_back(graph):
    assert_same(Graph.from_pyg(graph.to_pyg()), graph)


@given(graphs())
def test_scipy_there_and_back(graph):
    matrix = graph.to_scipy()
    edges, nodes = graph.to_edge_index(), graph.num_nodes
    want = to_scipy_sparse_matrix(edges, graph.weights, nodes)
    np.testing.assert_allclose(matrix.toarray(), want.toarray())
    assert_close(Graph.from_scipy(matrix).adjacency.to_dense(), graph.adjacency.to_dense())


@given(graphs())
def test_networkx_there_and_back(graph):
    other = graph.to_networkx()
    assert other.number_of_edges() == graph.num_edges
    back = Graph.from_networkx(other)
    assert back.ids.tolist() == list(range(graph.num_nodes))
    assert torch.equal(back.to_edge_index(), graph.to_edge_index())
    assert_close(back.adjacency.to_dense(), graph.adjacency.to_dense())


@given(graphs())
def test_undirected_networkx_there_and_back(graph):
    graph = graph.to_undirected()
    back = Graph.from_networkx(graph.to_networkx(directed=False))
    assert_close(back.adjacency.to_dense(), graph.adjacency.to_dense())


def test_pyg_fields_keep_their_meaning():
    data = Data(
        x=torch.eye(3),
        edge_index=torch.tensor([[2, 0], [0, 1]]),
        edge_attr=torch.tensor([[5.0], [6.0]]),
        edge_type=torch.tensor([1, 0]),
        edge_label_index=torch.tensor([[0], [1]]),
        y=torch.tensor([0, 1, 0]),
        train_mask=torch.tensor([True, False, False]),
    )
    graph = Graph.from_pyg(data)
    assert graph.weights.tolist() == [5.0, 6.0]
    assert sorted(graph.edge_data) == ["type"]
    assert sorted(graph.masks) == ["train"]
    back = graph.to_pyg()
    assert torch.equal(back.x, data.x)
    assert torch.equal(back.y, data.y)
    assert torch.equal(back.train_mask, data.train_mask)
    assert back.edge_weight.tolist() == [5.0, 6.0]
    assert back.edge_type.tolist() == [1, 0]


def test_pyg_edge_features_follow_their_edges():
    data = Data(
        edge_index=torch.tensor([[0, 1], [1, 0]]),
        edge_attr=torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        num_nodes=2,
    )
    graph = Graph.from_pyg(data)
    assert graph.weights is None
    assert graph.edge_data["attr"].tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert graph.to_pyg().edge_attr.tolist() == [[3.0, 4.0], [1.0, 2.0]]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state:UserWarning")
def test_pyg_sparse_features_stay_sparse():
    x = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 2, x=CSR.from_dense(x))
    back = Graph.from_pyg(graph.to_pyg())
    assert isinstance(back.x, CSR)
    assert torch.equal(back.x.to_dense(), x)


def test_isolated_nodes_survive():
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 5)
    assert Graph.from_pyg(graph.to_pyg()).num_nodes == 5
    assert Graph.from_networkx(graph.to_networkx()).num_nodes == 5
    assert Graph.from_scipy(graph.to_scipy()).num_nodes == 5


def test_networkx_labels_weights_and_loops():
    other = nx.Graph()
    other.add_edge("b", "a", weight=2.0)
    other.add_edge("a", "a")
    graph = Graph.from_networkx(other)
    assert graph.ids.tolist() == ["b", "a"]
    assert graph.adjacency.to_dense().tolist() == [[0.0, 2.0], [2.0, 1.0]]
    assert graph.num_edges == 3
    back = graph.to_networkx(directed=False)
    assert nx.utils.graphs_equal(back, nx.Graph([("b", "a", {"weight": 2.0}), ("a", "a", {"weight": 1.0})]))


def test_networkx_tuples_as_labels_and_parallel_edges():
    other = nx.MultiDiGraph([((0, 0), (0, 1)), ((0, 0), (0, 1))])
    graph = Graph.from_networkx(other)
    assert graph.ids.tolist() == [(0, 0), (0, 1)]
    assert graph.to_edge_index().tolist() == [[0, 0], [1, 1]]
    assert graph.weights is None
    assert nx.utils.graphs_equal(graph.to_networkx(), other)


def test_what_cannot_be_converted_is_refused():
    with pytest.raises(DataError, match="Data has no edge_index"):
        Graph.from_pyg(Data(x=torch.ones(2, 1)))
    with pytest.raises(DataError, match="HeteroData has no edge_index"):
        Graph.from_pyg(HeteroData())
    with pytest.raises(DataError, match="some edge lacks its reverse"):
        Graph.from_edge_index(torch.tensor([[0], [1]])).to_networkx(directed=False)
