"""Graph attention against PyG's, forward and backward."""

import pytest
import torch
from torch_geometric import nn as pyg

from gossamer.nn import GATConv
from tests.nn.graphs import random_edges, random_features, randomize


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("concat", [True, False])
def test_it_equals_pyg_forward_and_backward(heads, concat):
    edges, x = random_edges(), random_features(6)
    layer, twin = GATConv(6, 4, heads=heads, concat=concat), pyg.GATConv(6, 4, heads=heads, concat=concat)
    randomize(layer)
    with torch.no_grad():
        twin.lin.weight.copy_(layer.linear.weight)
        twin.att_src.copy_(layer.source.unsqueeze(0))
        twin.att_dst.copy_(layer.target.unsqueeze(0))
        twin.bias.copy_(layer.bias)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = layer(mine, edges), twin(theirs, edges)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    target = torch.randn_like(out)
    (out * target).sum().backward()
    (expected * target).sum().backward()
    for one, other in (
        (mine, theirs),
        (layer.linear.weight, twin.lin.weight),
        (layer.source, twin.att_src),
        (layer.target, twin.att_dst),
        (layer.bias, twin.bias),
    ):
        torch.testing.assert_close(one.grad, other.grad.view_as(one), rtol=1e-4, atol=1e-4)


def test_the_attention_of_a_node_is_dropped_as_a_whole_edge():
    # All heads dropped: what is left is the bias.
    layer = GATConv(3, 2, heads=2, dropout=1.0)
    randomize(layer)
    out = layer(random_features(3), random_edges())
    assert torch.equal(out, layer.bias.expand_as(out))
    assert not torch.equal(layer.eval()(random_features(3), random_edges()), out)


def test_nothing_is_as_large_as_edges_times_features():
    edges, heads, width = random_edges(edges=4000), 2, 64
    x = random_features(8)
    sizes = []
    layer = GATConv(8, width, heads=heads)

    def note(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x, edges).sum().backward()
    assert sizes
    assert max(sizes) <= (edges.shape[1] + x.shape[0]) * heads
