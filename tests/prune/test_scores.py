from __future__ import annotations

import torch
from torch import nn

from gossamer.prune.granularity import Filters
from gossamer.prune.scores import Gradient, Magnitude, Random, SignedRank, Taylor, observe_batches
from gossamer.prune.weights import prunable_weights
from tests.prune.toy import Regression, network

WEIGHT = torch.tensor([[-3.0, 2.0], [0.0, -1.0]])
GRADIENTS = torch.tensor([[[1.0, -2.0], [3.0, -4.0]], [[-1.0, -4.0], [1.0, 2.0]]])
CHANCE = torch.Generator().manual_seed(0)


def mean_observed(score: Gradient | Taylor) -> torch.Tensor:
    return torch.stack([score.observe(WEIGHT, gradient) for gradient in GRADIENTS]).mean(0)


def test_magnitude_by_hand() -> None:
    assert Magnitude().score(WEIGHT, None, CHANCE).tolist() == [[3, 2], [0, 1]]
    squares = Magnitude(power=2.0).score(WEIGHT, None, CHANCE)
    assert Filters().pool(squares).tolist() == [6.5, 0.5]


def test_gradient_by_hand() -> None:
    absolute, signed = Gradient(), Gradient(average="signed")
    assert absolute.score(WEIGHT, mean_observed(absolute), CHANCE).tolist() == [[1, 3], [2, 3]]
    assert signed.score(WEIGHT, mean_observed(signed), CHANCE).tolist() == [[0, 3], [2, 1]]


def test_taylor_by_hand() -> None:
    first, second = Taylor(), Taylor(power=2.0)
    assert first.score(WEIGHT, mean_observed(first), CHANCE).tolist() == [[3, 6], [0, 3]]
    assert second.score(WEIGHT, mean_observed(second), CHANCE).tolist() == [[9, 40], [0, 10]]


def test_signed_rank_counts_from_zero_on_either_side() -> None:
    weight = torch.tensor([0.5, -0.1, 0.0, 3.0, -2.0, 0.2, -0.3])
    assert SignedRank().score(weight, None, CHANCE).tolist() == [2, 1, 0, 3, 3, 1, 2]


def test_random_comes_from_the_generator_alone() -> None:
    same = [Random().score(WEIGHT, None, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], Random().score(WEIGHT, None, torch.Generator().manual_seed(4)))


def test_gradients_are_averaged_over_batches_without_a_trace() -> None:
    task = Regression()
    model = nn.Sequential(network(), nn.Dropout(0.9))
    model[1].eval()
    model[0][0].weight.grad = torch.ones(20, 12)
    weights = prunable_weights(model)
    found = observe_batches(Gradient(), model, task, weights, batches=2)

    plain = network()
    expected = torch.zeros(20, 12)
    for batch in list(task.batches("train"))[:2]:
        plain.zero_grad()
        task.loss(plain, batch).backward()
        expected += plain[0].weight.grad.abs() / 2
    torch.testing.assert_close(found["0.0.weight"], expected)
    assert model.training
    assert not model[1].training
    assert torch.equal(model[0][0].weight.grad, torch.ones(20, 12))
    assert observe_batches(Magnitude(), model, task, weights, batches=2) == {}


def test_a_frozen_weight_observes_zeros() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    found = observe_batches(Taylor(), model, Regression(), prunable_weights(model), batches=1)
    assert not found["0.weight"].any()
    assert found["2.weight"].any()
