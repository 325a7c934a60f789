"""The Hessian of the training loss times a vector, for any network.

By central differences of the gradient, H·v ≈ (g(w + h·v) − g(w − h·v)) / 2h, because second derivatives of attention
and of native kernels are not there to be had. h moves the weights by about 1/200 of their length, where the errors of
rounding and of curvature meet in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from gossamer.prune.scores import batch_gradients
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task

Vector = dict[str, Tensor]
"""One tensor a weight, by name, each in the weight's shape."""

PASSES = 6.0  # what one product takes a batch, in dense forward passes
_STEP = 5e-3  # the cube root of single precision's rounding


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


@torch.no_grad()
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
    length = _length(vector.values())
    if length == 0.0:
        return {name: torch.zeros_like(value) for name, value in vector.items()}
    step = _STEP * max(_length([weight.weight for weight in weights]), 1e-3) / length
    before = {weight.name: weight.weight.detach().clone() for weight in weights}
    gradients = []
    try:
        for side in (step, -step):
            for weight in weights:
                weight.weight.copy_(before[weight.name] + side * vector[weight.name])
            gradients.append(mean_gradient(model, task, weights, batches=batches, fresh=fresh))
    finally:
        for weight in weights:
            weight.weight.copy_(before[weight.name])
    above, below = gradients
    return {name: (above[name] - below[name]) / (2.0 * step) for name in vector}


def _length(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.detach().double().square().sum()) for tensor in tensors))
