import pytest
import torch
from hypothesis import given
from torch.testing import assert_close
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gossamer.errors import DataError
from gossamer.graph import CSR, normalize

from .strategies import graphs


def dense_sum(edge_index, weights, nodes):
    """Row = target, column = source; duplicates summed."""
    dense = torch.zeros(nodes, nodes)
    return dense.index_put((edge_index[1], edge_index[0]), weights, accumulate=True)


@given(graphs())
def test_symmetric_with_loops_is_the_norm_of_pytorch_geometric(graph):
    edge_index = graph.to_edge_index()
    if graph.weights is not None:  # of several loops on a node theirs keeps any one
        loops = edge_index[0][edge_index[0] == edge_index[1]]
        if loops.unique().numel() < loops.numel():
            return
    want = dense_sum(*gcn_norm(edge_index, graph.weights, graph.num_nodes, dtype=torch.float32), graph.num_nodes)
    assert_close(graph.add_self_loops().symmetric().adjacency.to_dense(), want)


@given(graphs())
def test_symmetric_without_loops_is_the_norm_of_pytorch_geometric(graph):
    edge_index = graph.to_edge_index()
    norm = gcn_norm(edge_index, graph.weights, graph.num_nodes, add_self_loops=False, dtype=torch.float32)
    assert_close(graph.symmetric().adjacency.to_dense(), dense_sum(*norm, graph.num_nodes))


@given(graphs())
def test_symmetric_is_the_dense_formula(graph):
    dense = graph.adjacency.to_dense()
    scale = torch.where(dense.sum(1) > 0, dense.sum(1).pow(-0.5), torch.zeros(()))
    assert_close(graph.symmetric().adjacency.to_dense(), torch.diag(scale) @ dense @ torch.diag(scale))


@given(graphs())
def test_by_row_takes_the_mean(graph):
    sums = graph.adjacency.to_dense().sum(1)
    got = graph.row_normalized().adjacency.to_dense()
    assert_close(got.sum(1), (sums > 0).float())
    assert_close(got * sums[:, None], graph.adjacency.to_dense())


def test_by_hand():
    # 0 -> 1 with weight 4, 1 -> 2 with weight 1; in-degrees 0, 4, 1.
    adjacency = CSR.from_coo(torch.tensor([1, 2]), torch.tensor([0, 1]), torch.tensor([4.0, 1.0]), shape=(3, 3))
    assert normalize.symmetric(adjacency).values.tolist() == [0.0, 0.5]
    assert normalize.by_row(adjacency).values.tolist() == [1.0, 1.0]
    looped = normalize.with_self_loops(adjacency, 2.0)
    assert looped.to_dense().tolist() == [[2.0, 0.0, 0.0], [4.0, 2.0, 0.0], [0.0, 1.0, 2.0]]


def test_loops_that_are_there_keep_their_weight_once():
    adjacency = CSR.from_coo(
        torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0]), torch.tensor([5.0, 7.0, 3.0]), shape=(2, 2)
    )
    assert normalize.with_self_loops(adjacency).to_dense().tolist() == [[7.0, 0.0], [3.0, 1.0]]


def test_loops_leave_ones_without_values():
    adjacency = CSR.from_coo(torch.tensor([0, 1]), torch.tensor([0, 0]), shape=(2, 2))
    looped = normalize.with_self_loops(adjacency)
    assert looped.values is None
    assert looped.to_dense().tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_gradients_reach_the_weights():
    weights = torch.tensor([4.0, 2.0], dtype=torch.float64, requires_grad=True)

    def values(weights):
        adjacency = CSR.from_coo(torch.tensor([0, 1]), torch.tensor([1, 0]), weights, shape=(2, 2))
        looped = normalize.with_self_loops(adjacency)
        return normalize.symmetric(looped).values, normalize.by_row(looped).values

    assert torch.autograd.gradcheck(values, (weights,))


def test_negative_degrees_and_rectangles_are_refused():
    adjacency = CSR.from_coo(torch.tensor([1]), torch.tensor([0]), torch.tensor([-1.0]), shape=(2, 2))
    with pytest.raises(DataError, match="incoming weights of node 1 sum to -1"):
        normalize.symmetric(adjacency)
    with pytest.raises(DataError, match=r"square adjacency, found \(1, 2\)"):
        normalize.with_self_loops(CSR(torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), shape=(1, 2)))
