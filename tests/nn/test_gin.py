"""The graph isomorphism layer against PyG's and against a number worked out by hand."""

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg

from gossamer.nn import GINConv
from tests.nn.graphs import random_edges, random_features, randomize


@pytest.mark.parametrize("hidden", [3, 9])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("train_epsilon", [True, False])
def test_it_equals_pyg(hidden, normalize, train_epsilon):
    layer = GINConv(6, hidden, 4, epsilon=0.3, train_epsilon=train_epsilon, normalize=normalize)
    first, second = nn.Linear(6, hidden), nn.Linear(hidden, 4)
    norm = nn.BatchNorm1d(hidden) if normalize else nn.Identity()
    twin = pyg.GINConv(nn.Sequential(first, norm, nn.ReLU(), second), eps=0.3, train_eps=train_epsilon)
    randomize(layer)
    with torch.no_grad():
        layer.epsilon.fill_(0.3)
        first.weight.copy_(layer.first.weight)
        first.bias.copy_(layer.bias)
    norm.load_state_dict(layer.norm.state_dict())
    second.load_state_dict(layer.second.state_dict())
    edges, x = random_edges(), random_features(6)
    layer.eval()
    twin.eval()
    torch.testing.assert_close(layer(x, edges), twin(x, edges), rtol=1e-5, atol=1e-5)


def test_epsilon_is_trained_where_asked_for():
    layer = GINConv(2, 3, 1, train_epsilon=True)
    randomize(layer)
    layer(random_features(2), random_edges()).square().sum().backward()
    assert layer.epsilon.grad.abs() > 0
    assert "epsilon" not in dict(GINConv(2, 3, 1).named_parameters())


def test_a_sum_by_hand():
    # Node 1 hears nodes 0 and 2: 1 + 4 + (1 + 0.5) · 2 = 8.
    layer = GINConv(1, 1, 1, epsilon=0.5, normalize=False)
    with torch.no_grad():
        for weight in (layer.first.weight, layer.second.weight):
            weight.fill_(1.0)
        layer.second.bias.zero_()
    out = layer(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[0, 2], [1, 1]]))
    assert out.tolist() == [[1.5], [8.0], [6.0]]
