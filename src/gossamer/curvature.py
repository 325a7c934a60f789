"""The Hessian of a loss times a vector, by central differences of its gradient.

H·v ≈ (g(w + h·v) − g(w − h·v)) / 2h, because second derivatives of attention and of native kernels are not there to be
had. h moves the weights by about 1/200 of their length, where the errors of rounding and of curvature meet in single
precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

Vector = dict[str, Tensor]
"""One tensor a weight, by name, each in the weight's shape."""

PASSES = 6.0  # what one product takes a batch, in dense forward passes
_STEP = 5e-3  # the cube root of single precision's rounding


@torch.no_grad()
def central_difference(weights: Mapping[str, Tensor], vector: Vector, gradient: Callable[[], Vector]) -> Vector:
    """Returns H·v.

    Args:
        weights: The variables, by name; as they were at the end.
        vector: v.
        gradient: Returns the gradient in `weights` where they stand.
    """
    length = _length(vector.values())
    if length == 0.0:
        return {name: torch.zeros_like(value) for name, value in vector.items()}
    step = _STEP * max(_length(weights.values()), 1e-3) / length
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    gradients = []
    try:
        for side in (step, -step):
            for name, weight in weights.items():
                weight.copy_(before[name] + side * vector[name])
            gradients.append(gradient())
    finally:
        for name, weight in weights.items():
            weight.copy_(before[name])
    above, below = gradients
    return {name: (above[name] - below[name]) / (2.0 * step) for name in vector}


def _length(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.detach().double().square().sum()) for tensor in tensors))
