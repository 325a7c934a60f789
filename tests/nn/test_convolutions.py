"""Laws that every graph layer obeys, whatever it computes."""

import pytest
import torch

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph
from gossamer.nn import APPNP, GATConv, GCNConv, GINConv, SAGEConv
from tests.nn.graphs import NODES, random_edges, random_features, random_graph, randomize

WIDE = 6
LAYERS = {
    "gcn-narrow": lambda: GCNConv(WIDE, 3),
    "gcn-wide": lambda: GCNConv(WIDE, 9),
    "sage-narrow": lambda: SAGEConv(WIDE, 3),
    "sage-wide": lambda: SAGEConv(WIDE, 9),
    "sage-sum": lambda: SAGEConv(WIDE, 9, mean=False),
    "gat-concat": lambda: GATConv(WIDE, 3, heads=2),
    "gat-mean": lambda: GATConv(WIDE, 3, heads=2, concat=False),
    "gin-narrow": lambda: GINConv(WIDE, 4, 3),
    "gin-wide": lambda: GINConv(WIDE, 9, 3, epsilon=0.3),
    "appnp": lambda: APPNP(4, 0.2),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    module = LAYERS[request.param]()
    randomize(module)
    return module.eval()


def test_renaming_the_nodes_renames_the_output(layer):
    edges, x = random_edges(), random_features(WIDE)
    new_name = torch.randperm(NODES, generator=torch.Generator().manual_seed(5))
    renamed = torch.empty_like(x)
    renamed[new_name] = x
    torch.testing.assert_close(layer(renamed, new_name[edges])[new_name], layer(x, edges), rtol=1e-4, atol=1e-4)


def test_the_order_of_the_edges_does_not_matter(layer):
    edges, x = random_edges(), random_features(WIDE)
    order = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(layer(x, edges[:, order]), layer(x, edges), rtol=1e-4, atol=1e-4)


def test_a_graph_and_its_edge_index_are_the_same(layer):
    edges, x = random_edges(), random_features(WIDE)
    assert torch.equal(layer(x, Graph.from_edge_index(edges, NODES)), layer(x, edges))


def test_a_sparse_input_gives_what_its_dense_form_gives(layer):
    if isinstance(layer, APPNP):
        pytest.skip("propagates predictions, which are dense")
    edges, x = random_edges(), random_features(WIDE)
    torch.testing.assert_close(layer(CSR.from_dense(x), edges), layer(x, edges), rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_parameter_and_the_input(layer):
    x = random_features(WIDE).requires_grad_()
    layer(x, random_graph(weighted=True)).square().sum().backward()
    for name, tensor in [("x", x), *layer.named_parameters()]:
        assert tensor.grad is not None, name
        assert tensor.grad.abs().sum() > 0, name


def test_the_input_is_left_as_it_was(layer):
    edges, x = random_edges(), random_features(WIDE)
    before = x.clone()
    layer(x, edges)
    assert torch.equal(x, before)


def test_a_graph_without_edges_and_one_without_nodes_work(layer):
    none = torch.empty(2, 0, dtype=torch.int64)
    alone = layer(torch.ones(1, WIDE), none)
    assert torch.isfinite(alone).all()
    assert layer(torch.ones(0, WIDE), none).shape == (0, alone.shape[1])


def test_features_of_another_number_of_nodes_are_refused(layer):
    with pytest.raises(DataError, match="nodes"):
        layer(random_features(WIDE, nodes=NODES + 1), random_graph())
