r"""Penalties on the weights of a network that is going to be pruned: fewer of them, and well-conditioned.

Feng, Lin, Gao & Wei, "Lipschitz constant meets condition number", 2025 (arXiv 2503.20454), and the authors' code. With
W the matrix of a layer, one row j an output, and P_j the chance that a gate on that row is open (`gates`):

| penalty | of the network |
|---|---|
| `TransformedL1` | μ/N · (Σ φ(P_j c_j) over rows with a gate + Σ N·d/2 · ‖W‖² over the other layers) |
| `L1` | μ · Σ \|w\|, the plain relative, which needs no gates |
| `Conditioning` | μ · Σ over layers of (mean of log(σ²/c) over the singular values σ of W)² |

c_j = Σ over the row of (N·d/2 · w² + λ) is what a row costs, N the number of training examples, and φ(t) = (a + 1) t /
(a + t), which is t for large a, and counts rows for a near 0. The mean of logarithms is log det(WᵀW/c + 10⁻⁵) / n, n
being the smaller side of W: it goes to −∞ with any singular value, and is 0 where all are √c. Ours: φ sees costs from 0
up (the code's are negative, which has a pole at a); 10⁻⁵ is added to the matrix and not to its determinant, which would
be lost for large n; the logarithm is divided by n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gossamer.settings import Settings, bounded

_JITTER = 1e-5  # added to all eigenvalues of WᵀW/c
_LEAST = 1e-12  # c of a matrix without weights


@dataclass(frozen=True, eq=False)
class Layer:
    """A weight as the penalties see it.

    Attributes:
        weight: (R, C), one row an output; a gradient flows back to it.
        opened: (R,), the chance that the gate on each row is open, with a gradient; None where there are no gates.
    """

    weight: Tensor
    opened: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class SparsePenalty(Settings):
    """A family: the wish for fewer weights."""

    def penalty(self, layers: Sequence[Layer], examples: int) -> Tensor:
        """Returns a scalar for all layers together, at least one; `examples` is N."""
        raise TypeError(f"{type(self).__name__} is abstract: define penalty()")


@dataclass(frozen=True, kw_only=True)
class TransformedL1(SparsePenalty):
    """What rows with a gate cost, transformed. It holds a weight decay d: train with none beside it."""

    name = "transformed-l1"
    strength: float = bounded(1.0, ge=0.0)  # μ
    a: float = bounded(100.0, gt=0.0)  # how late the price of a row levels off
    price: float = bounded(0.001, ge=0.0)  # λ, of one weight
    decay: float = bounded(5e-4, ge=0.0)  # d

    def penalty(self, layers: Sequence[Layer], examples: int) -> Tensor:
        """Returns μ/N · (Σ φ(P_j c_j) + Σ N·d/2 · ‖W‖²)."""
        half = 0.5 * examples * self.decay
        total = torch.zeros((), device=layers[0].weight.device)
        for layer in layers:
            squares = layer.weight.square()
            if layer.opened is None:
                total = total + half * squares.sum()
            else:
                cost = layer.opened * (half * squares + self.price).sum(1)
                total = total + ((self.a + 1.0) * cost / (self.a + cost)).sum()
        return self.strength / examples * total


@dataclass(frozen=True, kw_only=True)
class L1(SparsePenalty):
    """The sum of sizes."""

    name = "l1"
    strength: float = bounded(1e-4, ge=0.0)  # μ

    def penalty(self, layers: Sequence[Layer], examples: int) -> Tensor:
        """Returns μ · Σ |w|, open gates or not."""
        del examples
        return self.strength * torch.stack([layer.weight.abs().sum() for layer in layers]).sum()


@dataclass(frozen=True, kw_only=True)
class Conditioning(Settings):
    """The wish for singular values of one size."""

    name = "conditioning"
    strength: float = bounded(1.0, ge=0.0)  # μ
    scale: Literal["mean", "size"] = "mean"  # c: the mean of σ², free of scale, or n, as in the authors' code
    on: Literal["all", "last"] = "all"  # layers; the authors' code has the last alone

    def penalty(self, layers: Sequence[Layer]) -> Tensor:
        """Returns a scalar for all layers together, at least one, or for the last of them."""
        chosen = layers if self.on == "all" else layers[-1:]
        return self.strength * torch.stack([self.spread(layer.weight).square() for layer in chosen]).sum()

    def spread(self, weight: Tensor) -> Tensor:
        """Returns the mean of log(σ²/c + 10⁻⁵) over the singular values of a matrix, a scalar.

        >>> Conditioning().spread(torch.eye(3, 5)).abs() < 1e-4
        tensor(True)
        """
        tall = weight if len(weight) >= weight.shape[1] else weight.T
        gram = tall.T @ tall
        size = len(gram)
        scale = gram.diagonal().mean().clamp_min(_LEAST) if self.scale == "mean" else size
        jitter = _JITTER * torch.eye(size, dtype=gram.dtype, device=gram.device)
        logarithm: Tensor = torch.linalg.slogdet(gram / scale + jitter).logabsdet
        return logarithm / size
