"""The graph convolution against PyG's and against a number worked out by hand."""

import pytest
import torch
from torch_geometric import nn as pyg

from gossamer.nn import GCNConv
from tests.nn.graphs import random_features, random_graph, randomize


@pytest.mark.parametrize("widths", [(6, 3), (3, 6), (4, 4)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_it_equals_pyg_forward_and_backward(widths, weighted, bias):
    graph, x = random_graph(weighted=weighted), random_features(widths[0])
    layer, twin = GCNConv(*widths, bias=bias), pyg.GCNConv(*widths, bias=bias)
    randomize(layer)
    with torch.no_grad():
        twin.lin.weight.copy_(layer.linear.weight)
        if bias:
            twin.bias.copy_(layer.bias)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = layer(mine, graph), twin(theirs, graph.to_edge_index(), graph.weights)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    target = torch.randn_like(out)
    (out * target).sum().backward()
    (expected * target).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.linear.weight.grad, twin.lin.weight.grad, rtol=1e-5, atol=1e-5)


def test_two_nodes_by_hand():
    # One edge 0 -> 1. With self loops the in-degrees are 1 and 2, so node 1 gets x0 / √2 + x1 / 2.
    layer = GCNConv(1, 1)
    with torch.no_grad():
        layer.linear.weight.fill_(2.0)
        layer.bias.fill_(10.0)
    out = layer(torch.tensor([[1.0], [4.0]]), torch.tensor([[0], [1]]))
    torch.testing.assert_close(out, torch.tensor([[12.0], [2 * (0.5**0.5 + 2.0) + 10.0]]))
