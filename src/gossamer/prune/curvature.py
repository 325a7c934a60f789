"""The Hessian of the training loss times a vector, for any network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gossamer.curvature import Vector, central_difference
from gossamer.prune.scores import batch_gradients
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task


def mean_gradient(
    model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int, fresh: bool = False
) -> Vector:
    """Returns the mean gradient over the first training batches; see `batch_gradients`."""
    total = {weight.name: torch.zeros_like(weight.weight) for weight in weights}
    seen = 0
    for gradients in batch_gradients(model, task, weights, batches=batches, fresh=fresh):
        seen += 1
        for name, gradient in gradients.items():
            total[name] += gradient
    return {name: value / max(seen, 1) for name, value in total.items()}


def hessian_product(
    model: nn.Module,
    task: Task,
    weights: Sequence[PrunableWeight],
    vector: Vector,
    *,
    batches: int,
    fresh: bool = False,
) -> Vector:
    """Returns H·v, where H is the Hessian of the mean loss of the first training batches in `weights`.

    Args:
        model: The network that `weights` belong to; as it was at the end.
        task: Gives the batches and the loss.
        weights: The variables; all others are held.
        vector: v.
        batches: How many batches at most, at least 1.
        fresh: See `batch_gradients`.
    """
    return central_difference(
        {weight.name: weight.weight for weight in weights},
        vector,
        lambda: mean_gradient(model, task, weights, batches=batches, fresh=fresh),
    )
