"""Zeros of activations and gradients, by hand and against PyTorch's own gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.activations import LayerZeros, zeros
from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.nn.linear import Linear
from tests.battery.networks import NETWORKS, Network
from tests.prune.toy import Regression


class Pairs(Regression):
    """Two inputs, one batch."""

    def __init__(self, x: Any, y: Tensor) -> None:
        super().__init__()
        self.pair = x, y

    def batches(self, split: Any, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        yield self.pair


def identity(layer: nn.Linear) -> nn.Linear:
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def test_a_tiny_network_by_hand() -> None:
    model = nn.Sequential(identity(nn.Linear(2, 2)), nn.ReLU(), identity(nn.Linear(2, 2)))
    x = torch.tensor([[1.0, -1.0], [0.0, -2.0]])
    task = Pairs(x, torch.tensor([[5.0, 0.0], [5.0, 5.0]]))
    first, second = zeros(model, task)
    # hidden: [[1, 0], [0, 0]]; the loss pulls at three of four outputs, and through the ReLU at one
    assert first == LayerZeros(
        name="0",
        kind="Linear",
        inputs=1 / 4,
        outputs=1 / 4,
        output_gradients=3 / 4,
        weights=2 / 4,
        weight_gradients=2 / 4,
    )
    assert second == LayerZeros(
        name="2",
        kind="Linear",
        inputs=3 / 4,
        outputs=3 / 4,
        output_gradients=1 / 4,
        weights=2 / 4,
        weight_gradients=3 / 4,
    )


def test_sparse_features_count_what_they_do_not_store() -> None:
    model = nn.Sequential(Linear(3, 2))
    dense = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    x = CSR.from_coo(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([1.0, 2.0]), shape=(2, 3))
    assert zeros(model, Pairs(x, torch.zeros(2, 2))) == zeros(model, Pairs(dense, torch.zeros(2, 2)))
    assert zeros(model, Pairs(x, torch.zeros(2, 2)))[0].inputs == pytest.approx(4 / 6)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_gradients_of_weights_are_those_of_a_backward_pass_and_the_network_stays(network: Network) -> None:
    torch.manual_seed(0)
    model, task = network.model(), network.task()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = {layer.name: layer for layer in zeros(model, task, "train", batches=1)}
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(value.grad is None for value in model.parameters())
    model.eval()
    task.loss(model, next(iter(task.batches("train")))).backward()
    for name, layer in found.items():
        own = [value.grad for value in model.get_submodule(name).parameters(recurse=False) if value.dim() > 1]
        none = sum(int((gradient == 0).sum()) for gradient in own)
        assert layer.weight_gradients == none / sum(gradient.numel() for gradient in own)


def test_frozen_layers_have_no_gradient_and_networks_without_layers_are_refused() -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))
    model[0].weight.requires_grad_(requires_grad=False)
    first, second = zeros(model, Regression())
    assert first.weight_gradients is None
    assert second.weight_gradients is not None
    with pytest.raises(ModelError, match="Sequential calls no layer with a parameter of two dimensions"):
        zeros(nn.Sequential(nn.BatchNorm1d(12)), Pairs(torch.randn(4, 12), torch.zeros(4, 12)))
