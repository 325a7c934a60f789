r"""Removes the weights whose loss would grow least, by second derivatives of single weights.

| score | change of the loss when w goes | source |
|---|---|---|
| `Fisher` | ½·w²·mean g², g being gradients of batches | LeCun, Denker & Solla, "Optimal brain damage", NIPS 1989 |
| `SecondOrder` | \|½·w²·h − w·g\|, h being the Hessian's diagonal | the same, away from a minimum |

Near a minimum the mean of squared gradients is the Hessian's diagonal, up to a factor, for a loss that is a
log-likelihood: the empirical Fisher information. Gradients are those of whole batches, not of examples, which scales
it. h is estimated with products of the Hessian and random signs z: the mean of z ⊙ H·z (Bekas, Kokiopoulou & Saad,
2007), exact where the Hessian is diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gossamer.compression.registry import register
from gossamer.curvature import PASSES
from gossamer.prune.allocation import Global
from gossamer.prune.curvature import hessian_product, mean_gradient
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Fisher(Score):
    """½ · w² · mean g²."""

    name = "fisher"
    needs_gradient = True

    def observe(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns g²."""
        del weight
        return gradient.square()

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns half the observed, times w²."""
        del generator
        assert observed is not None
        return 0.5 * weight.detach().square() * observed


@dataclass(frozen=True, kw_only=True)
class SecondOrder(Score):
    """|½ · w² · h − w · g|: the loss to second order without w, all else being equal."""

    name = "second-order"
    local = False
    probes: int = bounded(4, ge=1)  # random vectors by which the diagonal is estimated
    seed: int = bounded(0, ge=0)  # of these vectors

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns (2, ...): g and h of each weight."""
        gradient = mean_gradient(model, task, weights, batches=batches)
        diagonal = {name: torch.zeros_like(value) for name, value in gradient.items()}
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.probes):
            signs = {
                name: (torch.randint(2, value.shape, generator=generator) * 2 - 1).to(value)
                for name, value in gradient.items()
            }
            for name, value in hessian_product(model, task, weights, signs, batches=batches).items():
                diagonal[name] += signs[name] * value / self.probes
        return {name: torch.stack([gradient[name], diagonal[name]]) for name in gradient}

    def cost(self, batches: int) -> float:
        """Returns that of gradients and of a product a probe."""
        return (3.0 + PASSES * self.probes) * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |½ · w² · h − w · g|."""
        del generator
        assert observed is not None
        gradient, curvature = observed
        change: Tensor = 0.5 * weight.detach().square() * curvature - weight.detach() * gradient
        return change.abs()


FISHER = register(
    "fisher",
    HardMasks(score=Fisher(), allocation=Global()),
    summary="Train, remove the weights whose loss grows least by the diagonal of the Fisher information, retrain.",
    paper="sparsity-survey",
)
