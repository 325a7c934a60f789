"""Movement pruning: what training moves towards zero goes, wherever it is now.

Sanh, Wolf & Rush, "Movement pruning: adaptive sparsity by fine-tuning", NeurIPS 2020: a weight is worth −Σ w·g over the
steps of training, and the sparsity grows by a cubic schedule. Ours: what is removed stays removed, where the paper's
scores are learned on and may bring weights back; without training the sum is over a few batches. `Travel` is the
simpler relative, how far a weight has come from where it began (Zhou et al., "Deconstructing lottery tickets",
NeurIPS 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import Cubic
from gossamer.prune.scores import Score


@dataclass(frozen=True, kw_only=True)
class Movement(Score):
    """−Σ w·g over the steps of training."""

    name = "movement"
    needs_gradient = True
    local = False
    follows_training = True

    def observe(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns −w·g."""
        return -weight.detach() * gradient

    def follow(self, past: Tensor | None, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns the sum with one more step."""
        now = self.observe(weight, gradient)
        return now if past is None else past + now

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns the sum."""
        del weight, generator
        assert observed is not None
        return observed


@dataclass(frozen=True, kw_only=True)
class Travel(Score):
    """|w − w at the first step|; without training, nothing has moved and all are worth the same."""

    name = "travel"
    local = False
    follows_training = True

    def follow(self, past: Tensor | None, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns the first weight seen."""
        del gradient
        return weight.clone() if past is None else past

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns the distance."""
        del generator
        return (weight.detach() - (weight.detach() if observed is None else observed)).abs()


MOVEMENT = register(
    "movement",
    HardMasks(score=Movement(), schedule=Cubic(start=0.1)),
    summary="While training, remove bit by bit the weights that move towards zero.",
    paper="sparsity-survey",
)
