r"""SNIP: before training, remove the weights that the loss feels least.

Lee, Ajanthan & Torr, "SNIP: single-shot network pruning based on connection sensitivity", ICLR 2019: a weight is worth
|w · ∂L/∂w|, the gradient being that of several batches together; one ranking for the whole network. Batches are
normalised by their own statistics, as there are no others yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gossamer.compression.registry import register
from gossamer.prune.allocation import Global
from gossamer.prune.curvature import mean_gradient
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Snip(Score):
    """|w · mean gradient|; `Taylor` is the mean of |w · gradient|."""

    name = "snip"
    local = False

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns mean gradients."""
        return mean_gradient(model, task, weights, batches=batches, fresh=True)

    def cost(self, batches: int) -> float:
        """Returns that of as many training steps."""
        return 3.0 * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |w · g|."""
        del generator
        assert observed is not None
        return (weight.detach() * observed).abs()


SNIP = register(
    "snip",
    HardMasks(score=Snip(), allocation=Global(), schedule=OneShot(at=0.0)),
    summary="Before training, remove the weights that the loss feels least.",
    paper="sparsity-survey",
)
