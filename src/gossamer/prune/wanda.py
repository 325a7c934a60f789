"""Wanda: removes, of each output, the weights whose size times that of their input is smallest.

Sun, Liu, Bair & Kolter, "A simple and effective pruning approach for large language models", ICLR 2024: a weight is
worth |w|·‖x‖, x being its input over the batches, and is compared with the others of its output only. No gradient is
needed. The paper prunes a trained network once and does not retrain; here the other half of the training retrains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.inputs import input_products
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Wanda(Score):
    """|w| · ‖x‖, or its rank within the output, in (0, 1]."""

    name = "wanda"
    local = False
    compare: Literal["outputs", "layer"] = "outputs"  # "outputs": all outputs of a layer keep as many weights

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns ‖x‖ of each weight's input, in the shape of the weight."""
        found = input_products(model, task, weights, batches=batches, diagonal=True)
        return {
            weight.name: found[weight.name]
            .sqrt()
            .repeat_interleave(weight.rows // len(found[weight.name]), 0)
            .expand(weight.rows, -1)
            .reshape(weight.weight.shape)
            for weight in weights
        }

    def cost(self, batches: int) -> float:
        """Returns that of forward passes."""
        return 1.0 * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |w| · ‖x‖, float64, or its rank over the number of weights of an output."""
        del generator
        assert observed is not None
        worth = weight.detach().abs() * observed
        if self.compare == "layer":
            return worth
        rows = worth.flatten(1)
        rank = rows.argsort(stable=True, dim=1).argsort(dim=1) + 1
        share: Tensor = rank.double() / rows.shape[1]
        return share.view_as(weight)


WANDA = register(
    "wanda",
    HardMasks(score=Wanda()),
    summary="Train, remove the weights whose size times that of their input is smallest, retrain.",
    paper="sparsity-survey",
)
