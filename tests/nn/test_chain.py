from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gossamer.kernels import native
from gossamer.models.graph import FNN
from gossamer.nn.chain import chain, chain_logistic, chains, learn_logistic
from gossamer.nn.dropout import kept_share

pytestmark = pytest.mark.skipif(not native.available(), reason="no native kernels here")


def network(*widths: int, bias: bool = True) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(before, after, bias=bias) for before, after in pairwise(widths)]


def one_by_one(x, layers):
    for layer in layers[:-1]:
        x = layer(x).relu()
    return layers[-1](x)


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_the_layers(bias):
    layers = network(6, 20, 11, 3, bias=bias)
    x = torch.randn(50, 6, requires_grad=True)
    assert chains(x, layers)
    inputs = [x, *(part for layer in layers for part in layer.parameters())]
    flow = torch.randn(50, 3)
    out, wanted = chain(x, layers), one_by_one(x, layers)
    torch.testing.assert_close(out, wanted)
    for one, other in zip(
        torch.autograd.grad(out, inputs, flow), torch.autograd.grad(wanted, inputs, flow), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_have_gradients():
    layers = network(4, 9, 1)
    x, y = torch.randn(30, 4), (torch.randn(30) > 0).float()
    weights = [part for layer in layers for part in layer.parameters()]

    def curvature(loss):
        first = torch.autograd.grad(loss, weights, create_graph=True)
        return torch.autograd.grad(sum(part.square().sum() for part in first), weights)

    wanted = curvature(F.binary_cross_entropy_with_logits(one_by_one(x, layers)[:, 0], y))
    for loss in (
        F.binary_cross_entropy_with_logits(chain(x, layers)[:, 0], y),
        chain_logistic(x, y, layers),
    ):
        for one, other in zip(curvature(loss), wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_is_dropped_stays_dropped_on_the_way_back():
    layers = network(4, 64, 1)
    x = torch.randn(200, 4)
    weights = [part for layer in layers for part in layer.parameters()]
    torch.manual_seed(3)
    out = chain(x, layers, drop=0.5)
    once = torch.autograd.grad(out.sum(), weights, retain_graph=True)
    again = torch.autograd.grad(out.sum(), weights, create_graph=True)  # by torch, with the same elements
    for one, other in zip(once, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    torch.manual_seed(3)
    assert torch.equal(chain(x, layers, drop=0.5), out)
    assert kept_share(0.5) == 0.5
    with torch.no_grad():
        mean = torch.stack([chain(x, layers, drop=0.5) for _ in range(300)]).mean(0)
        assert float((mean - one_by_one(x, layers)).abs().mean()) < 0.05


def test_the_loss_is_scaled_by_what_comes_back():
    layers = network(4, 9, 1)
    x, y = torch.randn(30, 4), torch.ones(30)
    weights = [part for layer in layers for part in layer.parameters()]
    loss = chain_logistic(x, y, layers)
    once, thrice = torch.autograd.grad(loss, weights, retain_graph=True), torch.autograd.grad(3 * loss, weights)
    for one, other in zip(once, thrice, strict=True):
        torch.testing.assert_close(3 * one, other)


def test_what_somebody_watches_is_called_layer_by_layer():
    x, layers = torch.randn(3, 4), network(4, 5, 1)
    assert chains(x, layers)
    with torch.no_grad():
        assert not chains(x, layers)
    assert not chains(x.double(), layers)
    assert not chains(x[0], layers)
    assert not chains(torch.randn(3, 5), layers)
    handle = layers[0].register_forward_hook(lambda *given: None)
    assert not chains(x, layers)
    handle.remove()
    assert not chains(x, [nn.Linear(4, 5).double(), layers[1]])
    assert not chains(x, [nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), layers[1]])


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_network_has_the_same_loss_both_ways(dropout):
    net = FNN(6, 1, 12, dropout=dropout).train()
    x, y = torch.randn(40, 6), (torch.randn(40) > 0).float()
    torch.manual_seed(1)
    loss = net.logistic_loss(x, y)
    torch.manual_seed(1)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(net(x)[:, 0], y))


def test_learning_leaves_the_gradients_of_the_loss():
    layers = network(6, 20, 1)
    x, y = torch.randn(300, 6), (torch.randn(300) > 0).float()
    loss = F.binary_cross_entropy_with_logits(one_by_one(x, layers)[:, 0], y)
    loss.backward()
    wanted = [part.grad for layer in layers for part in layer.parameters()]
    layers[0].bias.requires_grad_(False)
    found = learn_logistic(x, y, layers)
    torch.testing.assert_close(found, loss.detach())
    assert not found.requires_grad
    assert layers[0].bias.grad is None
    for part, gradient in zip((part for layer in layers for part in layer.parameters()), wanted, strict=True):
        if part.requires_grad:
            torch.testing.assert_close(part.grad, gradient, rtol=1e-4, atol=1e-6)
