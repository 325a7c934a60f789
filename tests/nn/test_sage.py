"""The GraphSAGE layer against PyG's and against a number worked out by hand."""

import pytest
import torch
from torch_geometric import nn as pyg

from gossamer.graph import Graph
from gossamer.nn import SAGEConv
from tests.nn.graphs import random_features, random_graph, randomize


@pytest.mark.parametrize("widths", [(6, 3), (3, 6)])
@pytest.mark.parametrize("mean", [True, False])
def test_it_equals_pyg(widths, mean):
    graph, x = random_graph(), random_features(widths[0])
    layer, twin = SAGEConv(*widths, mean=mean), pyg.SAGEConv(*widths, aggr="mean" if mean else "sum")
    randomize(layer)
    with torch.no_grad():
        twin.lin_l.weight.copy_(layer.neighbours.weight)
        twin.lin_l.bias.copy_(layer.root.bias)
        twin.lin_r.weight.copy_(layer.root.weight)
    torch.testing.assert_close(layer(x, graph), twin(x, graph.to_edge_index()), rtol=1e-5, atol=1e-5)


def test_the_weighted_mean_by_hand():
    # Node 2 hears node 0 with weight 3 and node 1 with weight 1: (3 · 4 + 1 · 8) / 4 = 5, and itself: 100.
    graph = Graph.from_edge_index(torch.tensor([[0, 1], [2, 2]]), 3, torch.tensor([3.0, 1.0]))
    layer = SAGEConv(1, 1, bias=False)
    with torch.no_grad():
        layer.neighbours.weight.fill_(1.0)
        layer.root.weight.fill_(1.0)
    assert layer(torch.tensor([[4.0], [8.0], [100.0]]), graph).tolist() == [[4.0], [8.0], [105.0]]
