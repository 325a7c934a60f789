"""GraSP: before training, remove the weights without which gradients flow best.

Wang, Zhang & Grosse, "Picking winning tickets before training by preserving gradient flow", ICLR 2020. Taking away a
little of a weight changes the squared length of the gradient by −2·w·(H·g) of it, so w·(H·g) is what a weight is worth;
it may be negative. One ranking for the whole network. Ours: the loss as it is, where the paper softens the network's
outputs with a temperature of 200; H·g by differences of gradients (`curvature`).
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
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Grasp(Score):
    """w · (Hessian · gradient)."""

    name = "grasp"
    local = False

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns H·g."""
        gradient = mean_gradient(model, task, weights, batches=batches, fresh=True)
        return hessian_product(model, task, weights, gradient, batches=batches, fresh=True)

    def cost(self, batches: int) -> float:
        """Returns that of gradients and of the product."""
        return (3.0 + PASSES) * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns w · (H·g)."""
        del generator
        assert observed is not None
        return weight.detach() * observed


GRASP = register(
    "grasp",
    HardMasks(score=Grasp(), allocation=Global(), schedule=OneShot(at=0.0)),
    summary="Before training, remove the weights without which gradients flow best.",
    paper="sparsity-survey",
)
