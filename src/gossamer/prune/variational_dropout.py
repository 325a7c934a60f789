"""Variational dropout: every weight learns how much noise it stands; what drowns in it goes.

Molchanov, Ashukha & Vetrov, "Variational dropout sparsifies deep neural networks", ICML 2017: weights w + σ·ε with ε
normal, and as penalty the divergence from a log-uniform prior by its approximation, equation (14), in α = σ² / w². The
weights with the largest α go. Ours: an exact sparsity in place of log α > 3; noise on the weights themselves, where the
paper draws that of the outputs (the local reparametrisation has less variance, but not every layer has one).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.prune.noise import Gradients, Noise, NoisyWeights
from gossamer.settings import bounded

_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695  # of the approximation
_FLOOR = 1e-8  # added to w²


@dataclass(frozen=True, kw_only=True)
class Gaussian(Noise):
    """w + σ·ε; the number is log σ²."""

    name = "gaussian"
    begin_at: float = bounded(-8.0, le=0.0)  # log σ² at the beginning

    def begin(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns log σ², the same everywhere."""
        del generator
        return torch.full_like(weight, self.begin_at)

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns ε."""
        return torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)

    def noisy(self, weight: Tensor, number: Tensor, chance: Tensor) -> Tensor:
        """Returns w + σ·ε."""
        return weight + (0.5 * number).exp() * chance

    def back(self, weight: Tensor, number: Tensor, chance: Tensor, gradient: Tensor) -> Gradients:
        """Returns g and ½·g·σ·ε."""
        del weight
        return Gradients(gradient, 0.5 * gradient * (0.5 * number).exp() * chance)

    def penalty(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns the divergence k1 − k1·sigmoid(k2 + k3·log α) + ½·log(1 + 1/α), at least 0."""
        log_alpha = self._log_alpha(weight, number)
        return _K1 - _K1 * torch.sigmoid(_K2 + _K3 * log_alpha) + 0.5 * torch.log1p((-log_alpha).exp())

    def press(self, weight: Tensor, number: Tensor) -> Gradients:
        """Returns d · (−2·w / w²) and d, the derivative of the penalty by log α."""
        log_alpha = self._log_alpha(weight, number)
        soft = torch.sigmoid(_K2 + _K3 * log_alpha)
        slope = -_K1 * _K3 * soft * (1.0 - soft) - 0.5 * torch.sigmoid(-log_alpha)
        return Gradients(slope * -2.0 * weight / (weight.square() + _FLOOR), slope)

    def clean(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns w."""
        del number
        return weight

    def worth(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns −log α."""
        return -self._log_alpha(weight, number)

    def _log_alpha(self, weight: Tensor, number: Tensor) -> Tensor:
        return number - torch.log(weight.square() + _FLOOR)


VARIATIONAL_DROPOUT = register(
    "variational-dropout",
    NoisyWeights(noise=Gaussian()),
    summary="Train with noise on each weight that it learns to bear, remove what drowns in it, retrain.",
    paper="sparsity-survey",
)
