"""The readout: each graph on its own, sums and means by hand."""

import pytest
import torch

from gossamer.models.graph import GCN, Readout
from tests.nn.graphs import NODES, random_edges, random_features, randomize


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
