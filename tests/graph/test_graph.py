import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from torch_geometric.utils import is_undirected, subgraph

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph

from .strategies import graphs

EDGES = torch.tensor([[2, 0, 1, 0], [0, 1, 2, 2]])  # 2 -> 0, 0 -> 1, 1 -> 2, 0 -> 2


def sample(**changes):
    fields = {
        "x": torch.arange(6.0).reshape(3, 2),
        "y": torch.tensor([0, 1, 2]),
        "masks": {"train": torch.tensor([True, False, True])},
        "edge_data": {"time": torch.tensor([30, 10, 20, 40])},
        "ids": np.array(["a", "b", "c"], dtype=object),
    } | changes
    return Graph.from_edge_index(EDGES, 3, torch.tensor([1.0, 2.0, 3.0, 4.0]), **fields)


def test_rows_are_targets_and_edge_data_follows_its_edge():
    graph = sample()
    assert graph.to_edge_index().tolist() == [[2, 0, 0, 1], [0, 1, 2, 2]]
    assert graph.weights.tolist() == [1.0, 2.0, 4.0, 3.0]
    assert graph.edge_data["time"].tolist() == [30, 10, 40, 20]
    assert graph.adjacency.to_dense().tolist() == [[0, 0, 1], [2, 0, 0], [4, 3, 0]]
    assert (graph.num_nodes, graph.num_edges) == (3, 4)
    assert graph.degrees().tolist() == [1, 1, 2]


def test_aggregate_by_hand():
    graph = sample()
    x = torch.tensor([[1.0], [10.0], [100.0]])
    assert graph.aggregate(x).tolist() == [[100.0], [2.0], [34.0]]
    assert graph.aggregate(x, torch.ones(4)).tolist() == [[100.0], [1.0], [11.0]]
    heads = graph.aggregate(x.reshape(3, 1, 1).expand(3, 2, 1), torch.tensor([[1.0, 0.0]] * 4))
    assert heads.squeeze(2).tolist() == [[100.0, 0.0], [1.0, 0.0], [11.0, 0.0]]


@given(graphs())
def test_aggregate_is_the_dense_product(graph):
    x = torch.randn(graph.num_nodes, 3, generator=torch.Generator().manual_seed(0))
    assert_close(graph.aggregate(x), graph.adjacency.to_dense() @ x)


@given(graphs())
def test_edge_index_there_and_back(graph):
    again = Graph.from_edge_index(graph.to_edge_index(), graph.num_nodes, graph.weights)
    assert torch.equal(again.adjacency.indptr, graph.adjacency.indptr)
    assert torch.equal(again.to_edge_index(), graph.to_edge_index())


@given(graphs(), st.randoms(use_true_random=False))
def test_renaming_the_nodes_renames_the_result(graph, random):
    order = torch.tensor(random.sample(range(graph.num_nodes), graph.num_nodes))
    renamed = graph.induced(order)
    x = torch.randn(graph.num_nodes, 2, generator=torch.Generator().manual_seed(0))
    assert_close(renamed.aggregate(x[order]), graph.aggregate(x)[order])
    got, want = renamed.add_self_loops().symmetric(), graph.add_self_loops().symmetric()
    if graph.weights is None:  # of several weighted loops the last one is kept, and renaming may reorder them
        assert_close(got.aggregate(x[order]), want.aggregate(x)[order])


def test_derived_graphs_are_computed_once_and_do_not_touch_theirs():
    graph = sample()
    before = graph.adjacency.to_dense()
    assert graph.add_self_loops() is graph.add_self_loops()
    assert graph.add_self_loops().symmetric() is graph.add_self_loops().symmetric()
    assert graph.row_normalized() is graph.row_normalized()
    assert graph.add_self_loops(2.0) is not graph.add_self_loops()
    assert graph.to_edge_index() is graph.to_edge_index()
    assert graph.symmetric().x is graph.x
    assert graph.add_self_loops().edge_data == {}
    assert torch.equal(graph.adjacency.to_dense(), before)


def test_weights_that_learn_are_normalised_anew():
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    graph = Graph(sample().adjacency.with_values(weights))
    x = torch.ones(3, 1)
    for _ in range(2):  # a kept graph would be backpropagated through twice
        graph.row_normalized().aggregate(x).sum().backward()
    assert weights.grad.shape == (4,)


@given(graphs())
def test_undirected_as_pytorch_geometric_sees_it(graph):
    want = is_undirected(graph.to_edge_index(), graph.weights, num_nodes=graph.num_nodes)
    dense = graph.adjacency.to_dense()
    if graph.adjacency.coalesced().nnz == graph.num_edges:  # with parallel edges their answer depends on the order
        assert graph.is_undirected() == want
    if graph.is_undirected():
        assert_close(dense, dense.t())
    both = graph.to_undirected()
    assert both.is_undirected()
    reach = (graph.adjacency.with_values(None).to_dense() > 0).float()
    assert_close(both.adjacency.with_values(None).to_dense(), ((reach + reach.t()) > 0).float())


def test_to_undirected_averages_weights():
    graph = Graph.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 2]]), 3, torch.tensor([1.0, 3.0, 5.0, 7.0]))
    assert graph.to_undirected().adjacency.to_dense().tolist() == [[0, 2, 0], [2, 0, 5], [0, 5, 7]]


@given(graphs(), st.data())
def test_induced_as_pytorch_geometric_cuts_it(graph, data):
    nodes = data.draw(st.lists(st.integers(0, graph.num_nodes - 1), unique=True))
    nodes = torch.tensor(sorted(nodes), dtype=torch.int64)
    part = graph.induced(nodes)
    want, weights = subgraph(nodes, graph.to_edge_index(), graph.weights, relabel_nodes=True, num_nodes=graph.num_nodes)
    assert torch.equal(part.to_edge_index(), want)
    if graph.weights is not None:
        assert torch.equal(part.weights, weights)
    mask = torch.zeros(graph.num_nodes, dtype=torch.bool)
    mask[nodes] = True
    assert torch.equal(graph.induced(mask).to_edge_index(), want)


@given(graphs(), st.randoms())
def test_induced_takes_any_order_and_sorts_its_edges(graph, random):
    nodes = torch.tensor(random.sample(range(graph.num_nodes), random.randint(0, graph.num_nodes)), dtype=torch.int64)
    part = graph.induced(nodes)
    assert_close(part.adjacency.to_dense(), graph.adjacency.to_dense()[nodes][:, nodes])
    target, source = part.to_edge_index().flip(0)
    assert torch.equal(torch.argsort(target * graph.num_nodes + source, stable=True), torch.arange(part.num_edges))


def test_induced_takes_everything_along():
    part = sample().induced(torch.tensor([2, 0]))
    assert part.ids.tolist() == ["c", "a"]
    assert part.y.tolist() == [2, 0]
    assert part.x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert part.masks["train"].tolist() == [True, True]
    assert part.to_edge_index().tolist() == [[1, 0], [0, 1]]
    assert part.edge_data["time"].tolist() == [40, 30]


def test_induced_cuts_sparse_features_and_keeps_a_graph_label():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0]])
    part = sample(x=CSR.from_dense(x), y=torch.tensor([1])).induced(torch.tensor([2, 1]))
    assert torch.equal(part.x.to_dense(), x[[2, 1]])
    assert part.y.tolist() == [1]


def test_moving_and_copying():
    graph = sample(x=CSR.from_dense(torch.eye(3)))
    assert graph.to("cpu") is graph
    moved = graph.to("meta")
    assert {moved.device.type, moved.x.device.type, moved.y.device.type} == {"meta"}
    assert moved.masks["train"].device.type == moved.edge_data["time"].device.type == "meta"
    assert torch.equal(copy.deepcopy(graph).adjacency.to_dense(), graph.adjacency.to_dense())


@pytest.mark.parametrize("nodes", [0, 3])
def test_no_edges(nodes):
    graph = Graph.from_edge_index(torch.empty(2, 0, dtype=torch.int64), nodes)
    assert graph.aggregate(torch.ones(nodes, 2)).tolist() == [[0.0, 0.0]] * nodes
    assert graph.add_self_loops().symmetric().weights.tolist() == [1.0] * nodes
    assert graph.is_undirected()


def test_nodes_are_counted_from_features_or_edges():
    assert Graph.from_edge_index(EDGES).num_nodes == 3
    assert Graph.from_edge_index(EDGES, x=torch.ones(5, 1)).num_nodes == 5


def test_wrong_parts_are_refused_by_name():
    with pytest.raises(DataError, match=r"expected integers \(2, E\)"):
        Graph.from_edge_index(EDGES.t())
    with pytest.raises(DataError, match="index 2 found; expected 0 to 1"):
        Graph.from_edge_index(EDGES, 2)
    with pytest.raises(DataError, match=r"weights has shape \(3,\); expected 4 rows"):
        Graph.from_edge_index(EDGES, 3, torch.ones(3))
    with pytest.raises(DataError, match=r"x has shape \(2, 1\); expected 3 rows"):
        Graph.from_edge_index(EDGES, 3, x=torch.ones(2, 1))
    with pytest.raises(DataError, match=r"mask 'val' has shape \(4,\)"):
        sample(masks={"val": torch.ones(4, dtype=torch.bool)})
    with pytest.raises(DataError, match="as many rows as columns"):
        Graph(CSR.from_dense(torch.ones(2, 3)))
    with pytest.raises(DataError, match=r"edge_data\['time'\] has shape \(1,\)"):
        Graph(CSR.from_dense(torch.eye(2)), edge_data={"time": torch.ones(1)})
    with pytest.raises(DataError, match="given twice"):
        sample().induced(torch.tensor([1, 1]))
    with pytest.raises(DataError, match="node 3 given; expected 0 to 2"):
        sample().induced(torch.tensor([3]))


def test_repr_says_what_it_holds():
    shown = repr(sample())
    assert shown == "Graph(num_nodes=3, num_edges=4, x=(3, 2), y=(3,), masks=['train'], edge_data=['time'])"
