"""The network that predicts, then propagates."""

import torch

from gossamer.models.graph import APPNP
from tests.nn.graphs import random_features, random_graph


def test_without_steps_it_is_its_perceptron():
    model = APPNP(6, 8, 3, steps=0).eval()
    x = random_features(6)
    assert torch.equal(model(x, random_graph()), model.predict(x))


def test_all_weight_on_the_node_itself_is_the_perceptron_too():
    model = APPNP(6, 8, 3, alpha=1.0).eval()
    x = random_features(6)
    torch.testing.assert_close(model(x, random_graph()), model.predict(x))
