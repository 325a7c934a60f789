"""The graph convolutional network: its size on Cora, and its convolutions."""

import torch

from gossamer.models.graph import GCN
from tests.nn.graphs import random_features, random_graph


def test_the_number_of_parameters_on_cora():
    assert sum(p.numel() for p in GCN(1433, 16, 7).parameters()) == 1433 * 16 + 16 + 16 * 7 + 7


def test_a_gcn_of_one_layer_is_its_convolution():
    model = GCN(6, 8, 3, 1).eval()
    x, graph = random_features(6), random_graph()
    assert torch.equal(model(x, graph), model.convs[0](x, graph))


def test_two_layers_by_hand():
    model = GCN(6, 8, 3).eval()
    x, graph = random_features(6), random_graph()
    normalized = graph.add_self_loops().symmetric().adjacency.to_dense()
    first, second = (conv.linear.weight.t() for conv in model.convs)
    expected = normalized @ torch.relu(normalized @ x @ first) @ second
    torch.testing.assert_close(model(x, graph), expected, rtol=1e-5, atol=1e-6)
