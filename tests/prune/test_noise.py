"""Noise on weights against automatic differentiation, and what learning with it is for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gossamer.compression.registry import method
from gossamer.prune.l0 import HardConcrete
from gossamer.prune.noise import Noise
from gossamer.prune.variational_dropout import Gaussian
from tests.prune.toy import Regression, epoch_of, network, sgd, train

NOISES = [HardConcrete(), Gaussian(begin_at=-2.0)]


def drawn(noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    number = noise.begin(weight, generator) + torch.randn(40, 5, generator=generator, dtype=torch.float64)
    return weight, number, noise.draw(weight, generator)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_gradients_are_those_of_autograd(noise: Noise) -> None:
    weight, number, chance = drawn(noise)
    along = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    variables = (weight.requires_grad_(), number.requires_grad_())
    found = noise.back(weight.detach(), number.detach(), chance, along)
    for one, other in zip(
        found, torch.autograd.grad((noise.noisy(*variables, chance) * along).sum(), variables), strict=False
    ):
        torch.testing.assert_close(one, other)
    found = noise.press(weight.detach(), number.detach())
    expected = torch.autograd.grad(noise.penalty(*variables).sum(), variables, materialize_grads=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gates_are_open_as_often_as_is_said() -> None:
    noise, generator = HardConcrete(), torch.Generator().manual_seed(0)
    for odds in (-2.0, 0.0, 1.5):
        number = torch.full((200_000,), odds)
        one = torch.ones_like(number)
        gate = noise.noisy(one, number, noise.draw(one, generator))
        assert 0.0 <= float(gate.min()) <= float(gate.max()) <= 1.0
        assert float((gate > 0).float().mean()) == pytest.approx(float(noise.penalty(one, number)[0]), abs=5e-3)


def test_the_divergence_is_that_of_its_integral() -> None:
    """−KL = ½·log α − E log|1 + √α·ε| up to a constant, here fixed where α is large."""
    noise = Gaussian()
    epsilon = torch.randn(4_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, exact = [], []
    for log_alpha in (-3.0, -1.0, 0.5, 2.0):
        weight = torch.ones(1, dtype=torch.float64)
        found.append(float(noise.penalty(weight, torch.full_like(weight, log_alpha))))
        alpha = torch.tensor(log_alpha, dtype=torch.float64).exp()
        exact.append(float((1 + alpha.sqrt() * epsilon).abs().log().mean() - 0.5 * alpha.log()))
    limit = float(epsilon.abs().log().mean())  # α → ∞, where the approximation is 0
    assert found == pytest.approx([value - limit for value in exact], abs=0.02)


@pytest.mark.parametrize("name", ["l0", "variational-dropout"])
def test_inputs_without_use_lose_their_weights(name: str) -> None:
    task = Regression(count=6)
    task.x = torch.randn(48, 12, generator=torch.Generator().manual_seed(1))
    task.x[:, 6:] *= 3.0
    task.y = task.x[:, :6] @ torch.randn(6, 4, generator=torch.Generator().manual_seed(2))  # the last six mean nothing
    run = method(name, sparsity=0.6).start(network(hidden=32), task, epochs=120)
    model = train(run, task, torch.optim.Adam(run.model.parameters(), lr=0.01))
    used = (model[0].weight != 0).float().mean(0)
    assert used[:6].mean() > 1.4 * used[6:].mean()
    assert task.evaluate(model, "val")["r2"] > 0.8


@pytest.mark.parametrize("name", ["l0", "variational-dropout"])
def test_noise_ends_with_the_removal(name: str) -> None:
    task = Regression()
    run = method(name, sparsity=0.5, at=0.5).start(network(), task, epochs=4)
    optimizer = sgd(run.model)
    epoch_of(run, task, optimizer, 0)
    assert not run.settled
    assert run.target_nonzeros() is None
    epoch_of(run, task, optimizer, 1)
    assert run.settled
    assert run.target_nonzeros() is not None
    before = run.model[0].weight.detach().clone()
    run.after_step(optimizer)
    assert torch.equal(run.model[0].weight, before)
    assert sum(run.target_nonzeros().values()) == 160
