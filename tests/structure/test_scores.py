"""Scores of units: against values worked out by hand, and laws that hold for all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gossamer.errors import SettingError
from gossamer.settings import members
from gossamer.structure import (
    GeometricMedian,
    GroupFisher,
    GroupHessian,
    GroupScore,
    MeanActivation,
    NormScale,
    plan,
)
from tests.structure.observing import scored

EVERY = list(members(GroupScore).values())


def linear(first: list[list[float]], second: list[list[float]]) -> nn.Sequential:
    """Returns two linear layers without biases."""
    layers = [nn.Linear(len(weight[0]), len(weight), bias=False).double() for weight in (first, second)]
    with torch.no_grad():
        for layer, weight in zip(layers, (first, second), strict=True):
            layer.weight.copy_(torch.tensor(weight))
    return nn.Sequential(*layers)


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 2, 1),
        nn.Flatten(),
    )


def one(score: GroupScore, network: nn.Module, x: Tensor) -> Tensor:
    """Returns the scores of the only group, where the loss of each row is half the square of the output."""
    (found,) = scored(score, network, x, losses=lambda net: [net(part).square().sum() / 2 for part in x]).values()
    return found


def test_fisher_is_half_of_the_squares_of_weights_times_gradients() -> None:
    network = linear([[1.0], [2.0]], [[3.0, -1.0]])
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    expected = torch.zeros(2, dtype=torch.float64)
    for part in x:  # y = (3·1 − 1·2) x = x; g of the second layer is y·h, of the first y·v·x
        y = part
        for unit, (w, v) in enumerate(((1.0, 3.0), (2.0, -1.0))):
            expected[unit] += 0.25 * float((w * y * v * part) ** 2 + (v * y * w * part) ** 2)
    torch.testing.assert_close(one(GroupFisher(), network, x), expected)


def test_hessian_of_a_quadratic_loss_is_exact() -> None:
    """Of y²/2 with y = v·w·x, at v = w = 1: h = x² and g = x² for both weights, so each changes the loss by −x²/2."""
    found = one(GroupHessian(probes=64), linear([[1.0], [1.0]], [[1.0, 0.0]]), torch.tensor([[2.0]]).double())
    # the off-diagonal ∂²/∂w∂v = 2·x² only adds noise to the estimate, of both signs
    assert float(found[0]) == pytest.approx(4.0, rel=0.5)
    assert float(found[1]) == pytest.approx(0.0, abs=0.5)


def test_scales_of_norms_count_and_weights_where_there_are_none() -> None:
    network = convolutional()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([0.5, -2.0, 1.0, 0.0, 3.0, -0.1]))
    found = scored(NormScale(), network, torch.randn(1, 2, 8, 8))
    torch.testing.assert_close(found["0.weight:0"], torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0, 0.1]).double())
    expected = network[3].weight.detach().double().flatten(1).norm(dim=1)
    torch.testing.assert_close(found["3.weight:0"], expected)


def test_a_filter_in_the_midst_of_the_others_is_worth_least() -> None:
    network = linear([[0.0, 0.0], [3.0, 0.0], [-3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0, 1.0, 1.0]])
    found = one(GeometricMedian(), network, torch.ones(1, 2).double())
    distances = torch.tensor([3 + 3 + 4, 3 + 6 + 5, 3 + 6 + 5, 4 + 5 + 5]).double()
    torch.testing.assert_close(found, distances / distances.mean())


def test_activation_is_the_mean_where_it_is_used() -> None:
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    (found,) = scored(MeanActivation(), network, torch.tensor([[1.0], [2.0], [-6.0]])).values()
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0]).double())


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)
def test_every_score_makes_a_plan_and_leaves_the_network_alone(kind: type[GroupScore]) -> None:
    network, x = convolutional(), torch.randn(3, 2, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plans = [plan(network, x, score=kind(), losses=lambda net: [net(x).square().mean()], seed=3) for _ in range(2)]
    assert {group.name: group.kept for group in plans[0].groups} == {"0.weight:0": 3, "3.weight:0": 2}
    assert plans[0].groups == plans[1].groups
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert kind.from_json(kind().to_json()) == kind()


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind.name != "random"], ids=lambda kind: kind.name)
def test_renaming_units_renames_scores(kind: type[GroupScore]) -> None:
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    order = torch.tensor([3, 0, 4, 1, 2])
    other = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    with torch.no_grad():
        other[0].weight.copy_(network[0].weight[order])
        other[0].bias.copy_(network[0].bias[order])
        other[2].weight.copy_(network[2].weight[:, order])
        other[2].bias.copy_(network[2].bias)
    score = GroupHessian(probes=256) if kind is GroupHessian else kind()
    loose = 0.5 if kind is GroupHessian else 1e-6
    x = x.double()
    first, second = (
        next(iter(scored(score, net, x, losses=lambda n: [n(x).square().mean()]).values())) for net in (network, other)
    )
    torch.testing.assert_close(second, first[order], rtol=loose, atol=loose * float(first.abs().max()))


def test_scores_of_gradients_say_that_they_need_losses() -> None:
    for score in (GroupFisher(), GroupHessian()):
        with pytest.raises(SettingError, match=f"{score.name}.*needs gradients; pass losses="):
            plan(convolutional(), torch.randn(1, 2, 8, 8), score=score)


def test_heads_are_scored_as_wholes() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out, self.heads = nn.Linear(8, 24), nn.Linear(8, 3), 4

        def forward(self, x: Tensor) -> Tensor:
            batch, length, _ = x.shape
            parts = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            q, k, v = parts.unbind(0)
            mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
            return self.out(mixed.transpose(1, 2).reshape(batch, length, -1))

    for kind in EVERY:
        x = torch.randn(2, 5, 8)
        found = plan(Heads(), x, score=kind(), losses=lambda net, x=x: [net(x).square().mean()])
        assert [(group.units, group.kept) for group in found.groups] == [(4, 2)], kind.name
