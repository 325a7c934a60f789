"""The perceptron: its size on Cora, and that the graph is not used."""

import torch

from gossamer.models.graph import MLP
from tests.nn.graphs import random_edges, random_features


def test_the_number_of_parameters_on_cora():
    assert sum(p.numel() for p in MLP(1433, 16, 7).parameters()) == 1433 * 16 + 16 + 16 * 7 + 7


def test_the_graph_is_not_used():
    model = MLP(6, 8, 3).eval()
    assert torch.equal(model(random_features(6)), model(random_features(6), random_edges()))
