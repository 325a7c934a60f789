"""Each stand-in computes what PyG's layer computes, forward and backward, on graphs with everything that is awkward."""

from __future__ import annotations

import copy

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.pyg import adopt, kind_of

N, C = 40, 6
LAYERS = {
    "gcn": lambda: pyg.GCNConv(C, 4),
    "gcn wider": lambda: pyg.GCNConv(C, 9, bias=False),
    "gcn improved": lambda: pyg.GCNConv(C, 4, improved=True, cached=True),
    "gcn without loops": lambda: pyg.GCNConv(C, 4, add_self_loops=False),
    "gcn as given": lambda: pyg.GCNConv(C, 4, normalize=False),
    "sage": lambda: pyg.SAGEConv(C, 5),
    "sage sum": lambda: pyg.SAGEConv(C, 5, aggr="sum", root_weight=False),
    "sage max": lambda: pyg.SAGEConv(C, 5, aggr="max", project=True, normalize=True),
    "gin": lambda: pyg.GINConv(nn.Sequential(nn.Linear(C, 8), nn.ReLU(), nn.Linear(8, 3)), eps=0.3),
    "gin trained": lambda: pyg.GINConv(nn.Linear(C, 3), eps=0.3, train_eps=True),
    "gat": lambda: pyg.GATConv(C, 5, heads=3),
    "gat averaged": lambda: pyg.GATConv(C, 4, heads=2, concat=False, residual=True, negative_slope=0.3),
    "gat without loops": lambda: pyg.GATConv(C, 16, add_self_loops=False, bias=False, dropout=0.5),
    "gatv2": lambda: pyg.GATv2Conv(C, 5, heads=3),
    "gatv2 shared": lambda: pyg.GATv2Conv(C, 5, heads=2, share_weights=True, concat=False, residual=True),
    "transformer": lambda: pyg.TransformerConv(C, 5, heads=3),
    "transformer beta": lambda: pyg.TransformerConv(C, 5, heads=2, concat=False, beta=True),
    "transformer alone": lambda: pyg.TransformerConv(C, 5, heads=2, root_weight=False),
    "appnp": lambda: pyg.APPNP(4, 0.2, dropout=0.4),
    "appnp without loops": lambda: pyg.APPNP(3, 0.1, add_self_loops=False),
    "sg": lambda: pyg.SGConv(C, 4, K=2),
}


def awkward_graph(seed: int = 0) -> Tensor:
    """A hub, repeated edges, loops (one of them twice), isolated nodes and nodes that only send."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(30, (2, 120), generator=generator)
    hub = torch.stack([torch.arange(1, 30), torch.zeros(29, dtype=torch.int64)])
    loops = torch.tensor([[3, 5, 5], [3, 5, 5]])
    only_sends = torch.tensor([[31, 32], [1, 2]])
    edges = torch.cat([random, random[:, :20], hub, loops, only_sends], 1)
    return edges[:, torch.randperm(edges.shape[1], generator=generator)]


def features(seed: int = 0) -> Tensor:
    """Rounded, so that maxima tie."""
    return torch.randn(N, C, generator=torch.Generator().manual_seed(seed)).mul(2).round() / 2


@pytest.mark.parametrize("name", LAYERS)
def test_results_and_gradients_are_those_of_pyg(name):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    layer.eval()
    adopted = adopt(copy.deepcopy(layer))
    edges, x = awkward_graph(), features()
    for _ in range(2):  # the second time, what is cached is used
        mine, its = x.clone().requires_grad_(), x.clone().requires_grad_()
        got, expected = adopted(mine, edges), layer(its, edges)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    flow = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    got.backward(flow)
    expected.backward(flow)
    torch.testing.assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-5)
    parameters = dict(adopted.named_parameters())
    for parameter, wanted in layer.named_parameters():
        found = parameters[parameter].grad
        if wanted.grad is None:
            assert found is None or not found.any()
        else:
            torch.testing.assert_close(found, wanted.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_state_dicts_are_interchangeable_and_parameters_shared(name):
    layer = LAYERS[name]()
    adopted = adopt(layer)
    assert list(adopted.state_dict()) == list(layer.state_dict())
    for mine, its in zip(adopted.parameters(), layer.parameters(), strict=True):
        assert mine is its
    LAYERS[name]().load_state_dict(adopted.state_dict())


@pytest.mark.parametrize("name", ["gcn", "gcn improved", "sg", "appnp", "gcn as given"])
def test_edge_weights_are_honoured_with_their_gradient(name):
    torch.manual_seed(0)
    layer = LAYERS[name]().eval()
    adopted = adopt(copy.deepcopy(layer))
    edges, x = awkward_graph(), features()
    # Of repeated loops the last counts, but PyG hands the gradient to each: here is only one.
    edges = torch.cat([edges[:, edges[0] != edges[1]], torch.tensor([[3], [3]])], 1)
    mine = torch.rand(edges.shape[1], generator=torch.Generator().manual_seed(2)).requires_grad_()
    its = mine.detach().clone().requires_grad_()
    got, expected = adopted(x, edges, mine), layer(x, edges, its)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    got.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gcn", "sage max", "gat", "gatv2", "transformer", "appnp"])
def test_graphs_without_edges_and_without_nodes(name):
    torch.manual_seed(0)
    layer = LAYERS[name]().eval()
    adopted = adopt(layer)
    nothing = torch.empty(2, 0, dtype=torch.int64)
    torch.testing.assert_close(adopted(features(), nothing), layer(features(), nothing), rtol=1e-5, atol=1e-5)
    assert adopted(features()[:0], nothing).shape[0] == 0


@pytest.mark.parametrize("name", ["gat without loops", "gatv2", "transformer", "appnp"])
def test_dropout_acts_in_training_only(name):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    layer.dropout = 0.5
    adopted = adopt(layer).train()
    edges, x = awkward_graph(), features()
    assert not torch.equal(adopted(x, edges), adopted(x, edges))
    torch.manual_seed(1)
    first = adopted(x, edges)
    torch.manual_seed(1)
    assert torch.equal(adopted(x, edges), first)
    adopted.eval()
    assert torch.equal(adopted(x, edges), adopted(x, edges))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: pyg.GATConv(C, 4, edge_dim=3), "edge_dim=3 is not supported"),
        (lambda: pyg.GATConv((C, C), 4), "two kinds of nodes"),
        (lambda: pyg.SAGEConv(C, 4, aggr="lstm"), "aggr='lstm' is not supported, only mean, add, sum, max"),
        (lambda: pyg.SAGEConv((C, C), 4), "two kinds of nodes"),
        (lambda: pyg.GCNConv(C, 4, flow="target_to_source"), "from target to source"),
        (lambda: pyg.GCNConv(C, 4, aggr="max"), "aggr='max' is not supported"),
        (lambda: pyg.SGConv(C, 4, cached=True), "cached=True is not supported"),
        (lambda: pyg.APPNP(2, 0.1, normalize=False), "normalize=False is not supported"),
        (lambda: pyg.TransformerConv((C, C), 4), "two kinds of nodes"),
        (lambda: pyg.ChebConv(C, 4, K=2), "ChebConv cannot be replaced; known of PyG's layers: APPNP, GATConv"),
    ],
)
def test_what_is_not_followed_is_refused_with_its_reason(layer, message):
    with pytest.raises(ModelError, match=message):
        adopt(layer())


def test_a_subclass_may_compute_anything_and_is_left_alone():
    class GCNConv(pyg.GCNConv):
        """Of the same name."""

    assert kind_of(GCNConv(C, 4)) is None


def test_other_inputs_are_refused_by_name():
    adopted = adopt(LAYERS["sage"]())
    with pytest.raises(ModelError, match="found tuple and Tensor; keep PyG's SAGEConv"):
        adopted((features(), features()), awkward_graph())
