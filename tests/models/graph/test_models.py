"""Graph networks: depth, laws, dropout, and the numbers of parameters worked out by hand."""

import pytest
import torch
from tests.nn.graphs import NODES, random_edges, random_features, random_graph, randomize

from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.models.graph import APPNP, GAT, GCN, GIN, MLP, SAGE, Readout

NETWORKS = [APPNP, GAT, GCN, GIN, MLP, SAGE]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_any_depth_works_for_dense_and_sparse_features(network, layers):
    model = network(6, 8, 3, layers).eval()
    randomize(model)
    x, edges = random_features(6), random_edges()
    out = model(x, edges)
    assert out.shape == (NODES, 3)
    torch.testing.assert_close(model(CSR.from_dense(x), edges), out, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_renaming_the_nodes_renames_the_output(network):
    model = network(6, 8, 3).eval()
    edges, x = random_edges(), random_features(6)
    new_name = torch.randperm(NODES, generator=torch.Generator().manual_seed(5))
    renamed = torch.empty_like(x)
    renamed[new_name] = x
    torch.testing.assert_close(
        model(renamed, new_name[edges])[new_name], model(x, edges), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_dropout_acts_in_training_and_rests_in_evaluation(network):
    torch.manual_seed(0)
    model = network(6, 8, 3, dropout=0.5)
    x, graph = random_features(6), random_graph()
    assert not torch.equal(model(x, graph), model(x, graph))
    model.eval()
    assert torch.equal(model(x, graph), model(x, graph))


def test_numbers_of_parameters_on_cora():
    count = {
        network: sum(p.numel() for p in network(1433, 16, 7).parameters()) for network in (GCN, SAGE, MLP)
    }
    assert count[GCN] == 1433 * 16 + 16 + 16 * 7 + 7
    assert count[SAGE] == 2 * 1433 * 16 + 16 + 2 * 16 * 7 + 7
    assert count[MLP] == count[GCN]
    # The paper's network: 8 heads of 8, then one head of 7; two attention vectors a head.
    gat = sum(p.numel() for p in GAT(1433, 64, 7).parameters())
    assert gat == 1433 * 64 + 3 * 64 + 64 * 7 + 3 * 7


def test_a_gcn_of_one_layer_is_its_convolution():
    model = GCN(6, 8, 3, 1).eval()
    x, graph = random_features(6), random_graph()
    assert torch.equal(model(x, graph), model.convs[0](x, graph))


@pytest.mark.parametrize("bad", [(0, 8, 3, 2), (6, 0, 3, 2), (6, 8, 0, 2), (6, 8, 3, 0)])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_width_or_depth_below_one_is_refused(network, bad):
    with pytest.raises(ModelError, match="is 0; expected at least 1"):
        network(*bad)


def test_heads_must_divide_the_width():
    with pytest.raises(ModelError, match="hidden is 10; expected a multiple of the 8 heads"):
        GAT(6, 10, 3)


@pytest.mark.parametrize("mean", [True, False])
def test_a_readout_pools_each_graph_alone(mean):
    model = Readout(GCN(6, 8, 8), 8, 2, mean=mean).eval()
    randomize(model)
    graphs = [(random_features(6, seed), random_edges(seed)) for seed in range(3)]
    x = torch.cat([features for features, _ in graphs])
    edges = torch.cat([edges + NODES * place for place, (_, edges) in enumerate(graphs)], 1)
    out = model(x, edges, torch.arange(3).repeat_interleave(NODES))
    zeros = torch.zeros(NODES, dtype=torch.int64)
    alone = torch.cat([model(features, edges, zeros) for features, edges in graphs])
    torch.testing.assert_close(out, alone, rtol=1e-4, atol=1e-4)


def test_a_readout_by_hand():
    # Embeddings pass through; graphs {0, 1} and {2}: sums 4 and 10, means 2 and 10, classified by weight 1.
    class Same(torch.nn.Module):
        def forward(self, x, graph):
            return x

    x, batch = torch.tensor([[1.0], [3.0], [10.0]]), torch.tensor([0, 0, 1])
    for mean, expected in ((False, [[4.0], [10.0]]), (True, [[2.0], [10.0]])):
        model = Readout(Same(), 1, 1, mean=mean).eval()
        with torch.no_grad():
            model.classify.weight.fill_(1.0)
            model.classify.bias.zero_()
        assert model(x, None, batch).tolist() == expected
