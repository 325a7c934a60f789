"""The rules against a transcription of their papers' algorithms in NumPy, on a loss with a known gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gossamer.compression import compress
from gossamer.prune import Alternating, Splitting, Surrogate
from gossamer.tasks.task import Split, Task
from gossamer.train import SGD, Training

RATE, STEPS, EPOCHS, SPARSITY = 0.05, 4, 12, 0.5
Weights = list[np.ndarray[Any, np.dtype[np.float64]]]


class Quadratic(Task):
    """½ Σ a_i (w_i − c_i)² over all weights; the batches do not matter."""

    name = "quadratic"
    metric = "loss"
    higher_is_better = False

    def __init__(self) -> None:
        draw = np.random.default_rng(4)
        self.start = [draw.normal(size=(3, 4)), draw.normal(size=(2, 3))]  # a network trained already, nearly
        self.scale = [draw.uniform(0.2, 2.0, size=w.shape) for w in self.start]
        self.centre = [w + 0.1 * draw.normal(size=w.shape) for w in self.start]

    def value(self, weights: Weights) -> float:
        terms = zip(self.scale, weights, self.centre, strict=True)
        return sum(0.5 * float((a * (w - c) ** 2).sum()) for a, w, c in terms)

    def gradient(self, weights: Weights) -> Weights:
        return [a * (w - c) for a, w, c in zip(self.scale, weights, self.centre, strict=True)]

    def network(self) -> nn.Module:
        model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)).double()
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), self.start, strict=True):
                parameter.copy_(torch.from_numpy(value))
        return model

    def steps(self) -> int:
        return STEPS

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        yield from range(STEPS)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        terms = [
            0.5 * (torch.from_numpy(a) * (w - torch.from_numpy(c)) ** 2).sum()
            for a, w, c in zip(self.scale, model.parameters(), self.centre, strict=True)
        ]
        return torch.stack(terms).sum()

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        return {"loss": float(self.loss(model, None).detach())}

    def example(self) -> tuple[Any, ...]:
        return (torch.zeros(1, 4, dtype=torch.float64),)

    def examples_per_step(self) -> float:
        return 1.0

    def to(self, device: torch.device | str) -> Quadratic:
        return self


def cut(weights: Weights) -> Weights:
    """Keeps the larger half of each matrix."""
    result = []
    for w in weights:
        kept = np.zeros(w.size)
        kept[np.argsort(-np.abs(w).ravel())[: w.size // 2]] = 1.0
        result.append(w * kept.reshape(w.shape))
    return result


def norms(left: Weights, right: Weights) -> float:
    return sum(float(np.linalg.norm(a - b)) for a, b in zip(left, right, strict=True))


def trained(task: Quadratic, w: Weights, z: Weights, u: Weights, rho: float) -> tuple[Weights, float]:
    """One epoch of gradient descent on f + ρ/2 ‖W − Z + U‖², and the mean of f."""
    losses = []
    for _ in range(STEPS):
        losses.append(task.value(w))
        g = task.gradient(w)
        w = [w[n] - RATE * (g[n] + rho * (w[n] - z[n] + u[n])) for n in range(2)]
    return w, float(np.mean(losses))


def surrogate(task: Quadratic, rho: float, s: float, m: float, r: float) -> tuple[Weights, list[int]]:
    w = [value.copy() for value in task.start]
    z, lam = cut(w), [np.zeros_like(value) for value in w]
    wp, zp, k, accepted = w, z, 1, [0, 0]
    ce = ce_prev = 0.0

    def lagrangian(a: Weights, b: Weights) -> float:
        return sum(rho / 2 * float(((a[n] - b[n] + lam[n] / rho) ** 2).sum()) for n in range(2))

    for epoch in range(EPOCHS):
        w, mean = trained(task, w, z, [value / rho for value in lam], rho)
        ce_prev, ce = (ce if epoch else mean), mean
        if epoch + 1 == EPOCHS:
            break
        if k == 1 or ce + lagrangian(w, zp) < ce_prev + lagrangian(wp, zp):
            alpha = 1 - 1 / (m * k ** (1 - 1 / k**r))
            k += 1
            n1, n2 = norms(wp, zp), norms(w, zp)
            if n1 and n2:
                s = alpha * s * n1 / n2
            lam = [lam[n] + s * (w[n] - zp[n]) for n in range(2)]
            wp, zp = w, z
            accepted[0] += 1
        z = cut([w[n] + lam[n] / rho for n in range(2)])
        if k == 1 or ce + lagrangian(w, z) < ce_prev + lagrangian(w, zp):
            alpha = 1 - 1 / (m * k ** (1 - 1 / k**r))
            k += 1
            n1, n2 = norms(wp, zp), norms(w, z)
            if n1 and n2:
                s = alpha * s * n1 / n2
            lam = [lam[n] + s * (w[n] - z[n]) for n in range(2)]
            wp, zp = w, z
            accepted[1] += 1
    return cut(w), accepted


def alternating(task: Quadratic, rho: float) -> Weights:
    w = [value.copy() for value in task.start]
    z, u = cut(w), [np.zeros_like(value) for value in w]
    for epoch in range(EPOCHS):
        w, _ = trained(task, w, z, u, rho)
        if epoch + 1 < EPOCHS:
            z = cut([w[n] + u[n] for n in range(2)])
            u = [u[n] + w[n] - z[n] for n in range(2)]
    return cut(w)


def made(task: Quadratic, rule: Surrogate | Alternating, rho: float) -> tuple[list[Any], dict[str, Any]]:
    method = Splitting(sparsity=SPARSITY, multipliers=rule, rho=rho, pretrain=0.0, retrain=0.0, least_steps=1)
    plain = SGD(learning_rate=RATE, momentum=0.0, weight_decay=0.0)
    training = Training(epochs=EPOCHS, optimizer=plain)
    result = compress(task.network(), task, method, training=training, accelerate=False, latency=False, progress=False)
    return [parameter.detach().numpy() for parameter in result.model.parameters()], result.report


@pytest.mark.parametrize(
    ("rho", "step", "slowness", "exponent", "moves"),
    [
        (0.1, 0.01, 300.0, 0.1, [11, 11]),
        (1.0, 0.01, 300.0, 0.1, [9, 1]),
        (1.0, 1.0, 2.0, 0.9, [8, 6]),
        (4.0, 0.5, 300.0, 0.1, [9, 7]),
    ],
)
def test_surrogate_is_the_algorithm_of_the_paper(
    rho: float, step: float, slowness: float, exponent: float, moves: list[int]
) -> None:
    task = Quadratic()
    expected, accepted = surrogate(task, rho, step, slowness, exponent)
    assert accepted == moves, "cases in which moves of both kinds are made and refused"
    found, report = made(task, Surrogate(step=step, slowness=slowness, exponent=exponent), rho)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)
    assert [report["moves_after_training"], report["moves_after_projection"]] == accepted
    assert report["updates"] == EPOCHS - 1


@pytest.mark.parametrize("rho", [0.1, 1.0, 4.0])
def test_alternating_is_admm(rho: float) -> None:
    found, _ = made(Quadratic(), Alternating(), rho)
    for left, right in zip(found, alternating(Quadratic(), rho), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)
