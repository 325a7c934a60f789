"""SynFlow: before training and without data, keep the weights that most of the flow goes through.

Tanaka, Kunin, Yamins & Ganguli, "Pruning neural networks without any data by iteratively conserving synaptic flow",
NeurIPS 2020, algorithm 1. With every parameter replaced by its size and an input of ones, a weight is worth
|w · ∂R/∂w|, where R is the sum of the network's outputs: what flows through it. In a hundred passes, for one would cut
off whole layers. Of an input that is a graph the edges stay. Layers before a normalisation of features, as in
transformers, let no flow through and tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.compression.registry import register
from gossamer.counting import evaluating, tensors_in
from gossamer.prune.allocation import Global
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class SynFlow(Score):
    """|w| times the gradient of the flow."""

    name = "synflow"
    local = False

    @torch.no_grad()
    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns ∂R/∂|w|."""
        del batches
        values = [value for value in (*model.parameters(), *model.buffers()) if value.is_floating_point()]
        before = [value.detach().clone() for value in values]
        learning = [weight for weight in weights if weight.weight.requires_grad]
        found = {weight.name: torch.zeros_like(weight.weight) for weight in weights}
        try:
            for value in values:
                value.abs_()
            with evaluating(model), torch.enable_grad():
                out = model(*(_ones(argument) for argument in task.example()))
                flow = torch.stack([part.sum() for part in tensors_in(out)]).sum()
                gradients = torch.autograd.grad(flow, [weight.weight for weight in learning], allow_unused=True)
        finally:
            for value, old in zip(values, before, strict=True):
                value.copy_(old)
        for weight, gradient in zip(learning, gradients, strict=True):
            if gradient is not None:
                found[weight.name] = gradient
        return found

    def cost(self, batches: int) -> float:
        """Returns that of one step."""
        del batches
        return 3.0

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |w · ∂R/∂w|."""
        del generator
        assert observed is not None
        return (weight.detach() * observed).abs()


def _ones(argument: Any) -> Any:
    """Returns ones for a tensor of real numbers; everything else, such as edges, as it is."""
    real = isinstance(argument, Tensor) and argument.is_floating_point()
    return torch.ones_like(argument) if real else argument


SYNFLOW = register(
    "synflow",
    HardMasks(score=SynFlow(), allocation=Global(), schedule=OneShot(at=0.0), passes=100),
    summary="Before training and without data, keep the weights that most of the flow goes through.",
    paper="sparsity-survey",
)
