"""L0: every weight has a gate that is open or shut by chance, and training makes it sure of one.

Louizos, Welling & Kingma, "Learning sparse neural networks through L0 regularization", ICLR 2018: a gate
z = clip(s·(ζ − γ) + γ, 0, 1) with s = sigmoid((log u − log(1 − u) + a) / β) and u uniform multiplies the weight; the
penalty is the chance that it is open, sigmoid(a − β·log(−γ/ζ)). Ours: an exact sparsity, by removing the gates least
likely to be open, where the paper lets the penalty decide; retraining without gates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.prune.noise import Gradients, Noise, NoisyWeights
from gossamer.settings import bounded

_LOW, _HIGH = -0.1, 1.1  # γ and ζ: how far a gate is stretched beyond 0 and 1
_SPREAD = 0.01  # standard deviation of a at the beginning


@dataclass(frozen=True, kw_only=True)
class HardConcrete(Noise):
    """w · z; the number is a, the logarithm of the odds."""

    name = "hard-concrete"
    shut: float = bounded(0.1, gt=0.0, lt=1.0)  # about the fraction of gates that are shut at the beginning
    temperature: float = bounded(2.0 / 3.0, gt=0.0)  # β

    def begin(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns log((1 − shut) / shut), give or take a little."""
        spread = torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)
        return math.log((1.0 - self.shut) / self.shut) + _SPREAD * spread

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns log u − log(1 − u)."""
        uniform = torch.rand(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)
        return torch.logit(uniform, eps=1e-6)

    def noisy(self, weight: Tensor, number: Tensor, chance: Tensor) -> Tensor:
        """Returns w · z."""
        return weight * self._gate(self._soft(number, chance))

    def back(self, weight: Tensor, number: Tensor, chance: Tensor, gradient: Tensor) -> Gradients:
        """Returns g·z and g·w·∂z/∂a."""
        soft = self._soft(number, chance)
        gate = self._gate(soft)
        inside = (gate > 0.0) & (gate < 1.0)
        slope = inside * (_HIGH - _LOW) * soft * (1.0 - soft) / self.temperature
        return Gradients(gradient * gate, gradient * weight * slope)

    def penalty(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns the chance that the gate is open."""
        del weight
        return torch.sigmoid(number - self.temperature * math.log(-_LOW / _HIGH))

    def press(self, weight: Tensor, number: Tensor) -> Gradients:
        """Returns 0 and p·(1 − p)."""
        chance = self.penalty(weight, number)
        return Gradients(torch.zeros_like(weight), chance * (1.0 - chance))

    def clean(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns w · clip(sigmoid(a)·(ζ − γ) + γ, 0, 1)."""
        return weight * self._gate(torch.sigmoid(number))

    def worth(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns a, which orders gates as their chance of being open does."""
        del weight
        return number

    def _soft(self, number: Tensor, chance: Tensor) -> Tensor:
        return torch.sigmoid((chance + number) / self.temperature)

    def _gate(self, soft: Tensor) -> Tensor:
        return (soft * (_HIGH - _LOW) + _LOW).clamp(0.0, 1.0)


L0 = register(
    "l0",
    NoisyWeights(noise=HardConcrete()),
    summary="Train with a random gate on each weight, remove those least likely to be open, retrain.",
    paper="sparsity-survey",
)
