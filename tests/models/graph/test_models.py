"""What every graph network obeys: depth, renaming of nodes, dropout, refusals."""

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.models.graph import APPNP, GAT, GCN, GIN, MLP, SAGE
from tests.nn.graphs import NODES, random_edges, random_features, random_graph, randomize

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
    torch.testing.assert_close(model(renamed, new_name[edges])[new_name], model(x, edges), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_dropout_acts_in_training_and_rests_in_evaluation(network):
    torch.manual_seed(0)
    model = network(6, 8, 3, dropout=0.5)
    x, graph = random_features(6), random_graph()
    assert not torch.equal(model(x, graph), model(x, graph))
    model.eval()
    assert torch.equal(model(x, graph), model(x, graph))


@pytest.mark.parametrize("bad", [(0, 8, 3, 2), (6, 0, 3, 2), (6, 8, 0, 2), (6, 8, 3, 0)])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_width_or_depth_below_one_is_refused(network, bad):
    with pytest.raises(ModelError, match="is 0; expected at least 1"):
        network(*bad)


@pytest.mark.parametrize("network", NETWORKS)
def test_prediction_without_gradients_is_the_same_and_leaves_its_input_alone(network):
    model = network(6, 8, 3, 3).eval()
    randomize(model)
    x, graph = random_features(6), random_graph()
    before, expected = x.clone(), model(x, graph)
    with torch.no_grad():
        torch.testing.assert_close(model(x, graph), expected)
    assert torch.equal(x, before)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_prediction_in_inference_mode_leaves_nothing_that_training_cannot_use(network):
    model = network(6, 8, 3)
    x, edges = CSR.from_dense(random_features(6)), random_edges()
    for graph in (edges, random_graph()):
        with torch.inference_mode():
            model(x, graph)
        model(x, graph).sum().backward()
