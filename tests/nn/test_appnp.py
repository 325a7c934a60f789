"""Propagation against PyG's and against the closed form of its limit."""

import pytest
import torch
from torch_geometric import nn as pyg

from gossamer.nn import APPNP
from tests.nn.graphs import NODES, random_features, random_graph


@pytest.mark.parametrize("steps", [0, 1, 10])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_pyg(steps, weighted):
    graph, x = random_graph(weighted=weighted), random_features(5)
    expected = pyg.APPNP(steps, 0.15)(x, graph.to_edge_index(), graph.weights)
    torch.testing.assert_close(APPNP(steps, 0.15)(x, graph), expected, rtol=1e-5, atol=1e-5)


def test_the_limit_is_personalised_pagerank():
    # Eq. (3) of the paper: α (I − (1 − α) Â)⁻¹ H.
    graph, x = random_graph(), random_features(5)
    normalized = graph.add_self_loops().symmetric().adjacency.to_dense()
    expected = 0.3 * torch.linalg.solve(torch.eye(NODES) - 0.7 * normalized, x)
    torch.testing.assert_close(APPNP(80, 0.3)(x, graph), expected, rtol=1e-4, atol=1e-4)


def test_every_step_drops_its_own_edges():
    torch.manual_seed(0)
    graph, x = random_graph(), random_features(5)
    layer = APPNP(1, 0.1, dropout=1.0)
    torch.testing.assert_close(layer(x, graph), 0.1 * x)
    assert torch.equal(layer.eval()(x, graph), APPNP(1, 0.1)(x, graph))
    # A mask that was shared by both steps would leave a node that is cut off with α x + (1 − α) α x only.
    once, twice = APPNP(1, 0.0, dropout=0.5), APPNP(2, 0.0, dropout=0.5)
    torch.manual_seed(1)
    first = once(x, graph)
    second = once(first, graph)
    torch.manual_seed(1)
    assert torch.equal(twice(x, graph), second)
