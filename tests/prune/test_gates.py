"""Gates on rows against PyTorch's gradients of the same product."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gossamer.prune.gates import Gates
from gossamer.prune.l0 import HardConcrete
from gossamer.prune.weights import prunable_weights
from gossamer.train import SGD

KIND = HardConcrete(shut=0.3)
LOW, HIGH, HEAT = -0.1, 1.1, 2.0 / 3.0


def gated(*, rate: float = 0.0) -> tuple[nn.Sequential, Gates]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(6, 3))
    by = SGD(learning_rate=rate, momentum=0.0, weight_decay=0.0)
    return model, Gates(KIND, prunable_weights(model)[:1], by, torch.Generator().manual_seed(1))


def open_gate(odds: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    return (torch.sigmoid((chance + odds) / HEAT) * (HIGH - LOW) + LOW).clamp(0.0, 1.0)


def test_begins_near_the_odds_asked_for() -> None:
    _, gates = gated()
    odds = gates.state_dict()["odds"]["0.weight"]
    assert odds.shape == (6, 1, 1, 1)
    assert odds.flatten().tolist() == pytest.approx([math.log(0.7 / 0.3)] * 6, abs=0.05)


def test_gradients_are_pytorchs_of_the_gated_product_with_penalties() -> None:
    rate = 0.7
    model, gates = gated(rate=rate)
    clean = model[0].weight.detach().clone().requires_grad_()
    odds = gates.state_dict()["odds"]["0.weight"].clone().requires_grad_()
    gates.shake()
    chance = gates.state_dict()["chance"]["0.weight"]
    x = torch.randn(4, 2, 3, 3)

    layers = [gates.layer(weight) for weight in prunable_weights(model)]
    assert layers[1].opened is None
    assert layers[0].opened is not None
    penalty = (layers[0].opened * layers[0].weight.square().sum(1)).sum() + layers[1].weight.square().sum()
    (model(x).square().sum() + penalty).backward()
    gates.back()

    product = nn.functional.conv2d(x, open_gate(odds, chance) * clean, model[0].bias)
    opened = torch.sigmoid(odds - HEAT * math.log(-LOW / HIGH)).flatten()
    own = (opened * clean.flatten(1).square().sum(1)).sum()
    expected = torch.autograd.grad(model[2](product.flatten(1)).square().sum() + own, [clean, odds])
    assert torch.equal(model[0].weight, clean)
    torch.testing.assert_close(model[0].weight.grad, expected[0], rtol=1e-4, atol=1e-5)
    moved = (odds - rate * expected[1]).clamp(-math.log(100), math.log(100))
    torch.testing.assert_close(gates.state_dict()["odds"]["0.weight"], moved.detach(), rtol=1e-4, atol=1e-4)


def test_the_chance_of_being_open_is_that_of_the_draws() -> None:
    model, gates = gated()
    model[0].weight.data.fill_(1.0)
    gates.shake()
    expected = float(gates.layer(prunable_weights(model)[0]).opened.detach().mean())
    count = 0
    for _ in range(600):
        gates.restore()
        gates.shake()
        count += int((model[0].weight.flatten(1)[:, 0] > 0).sum())
    assert count / 3600 == pytest.approx(expected, abs=0.03)


def test_folding_multiplies_rows_by_the_gate_without_chance() -> None:
    model, gates = gated()
    clean = model[0].weight.detach().clone()
    gates.shake()
    assert not torch.equal(model[0].weight, clean)
    gates.restore()
    assert torch.equal(model[0].weight, clean)
    odds = gates.state_dict()["odds"]["0.weight"]
    gates.fold()
    torch.testing.assert_close(model[0].weight.detach(), clean * open_gate(HEAT * odds, torch.zeros(())))


def test_no_gates_change_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    gates = Gates(KIND, (), SGD(), torch.Generator())
    before = model.weight.detach().clone()
    gates.shake()
    gates.back()
    gates.fold()
    assert torch.equal(model.weight, before)
