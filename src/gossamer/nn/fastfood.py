"""Linear layers of diagonals, a permutation and two Walsh-Hadamard transforms.

    V = S H G P H B / d

S, G and B are diagonal matrices that are trained, P is a fixed permutation and H the Hadamard matrix of order d, a
power of two: 3 d numbers for d² weights, and O(d log d) arithmetic. Le, Sarlós & Smola, "Fastfood", ICML 2013; trained
as layers, Yang et al., "Deep fried convnets", ICCV 2015. Layers with more outputs than d stack several V, and what has
fewer inputs than d is filled up with zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.nn.shapes import check_width


class Fastfood(nn.Module):
    """A linear layer of 3 d ⌈outputs / d⌉ numbers and a bias each, d the power of two from in_features on.

    Args:
        in_features: Inputs, at least 1.
        out_features: Outputs, at least 1.
        bias: Whether outputs have one.
    """

    permutation: Tensor

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        if min(in_features, out_features) < 1:
            raise ModelError(f"Fastfood: {in_features} inputs, {out_features} outputs; expected at least 1 of each")
        self.in_features, self.out_features = in_features, out_features
        self.order = 1 << (in_features - 1).bit_length()
        stacked = (-(-out_features // self.order), self.order)
        self.signs = nn.Parameter(torch.randint(2, stacked) * 2.0 - 1.0)  # B
        self.gains = nn.Parameter(torch.randn(stacked))  # G
        self.scale = nn.Parameter(torch.ones(stacked))  # S
        self.register_buffer("permutation", torch.stack([torch.randperm(self.order) for _ in range(stacked[0])]))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · Vᵀ + bias for x (..., in_features), (..., out_features)."""
        check_width(x, self.in_features)
        filled = F.pad(x, (0, self.order - self.in_features)).unsqueeze(-2)
        mixed = hadamard(filled * self.signs)
        mixed = mixed.gather(-1, self.permutation.expand(mixed.shape))
        out = hadamard(mixed * self.gains) * self.scale / self.order
        out = out.flatten(-2)[..., : self.out_features]
        return out if self.bias is None else out + self.bias

    @property
    def weight(self) -> Tensor:
        """The dense weight, (out_features, in_features), made anew at each access; differentiable."""
        columns: Tensor = self(torch.eye(self.in_features, device=self.signs.device, dtype=self.signs.dtype))
        return (columns if self.bias is None else columns - self.bias).T

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, order={self.order}"


def hadamard(x: Tensor) -> Tensor:
    """Returns H x for x (..., d), d a power of two, by the fast Walsh-Hadamard transform in its natural order."""
    order = x.shape[-1]
    out, reach = x, 1
    while reach < order:
        pairs = out.reshape(*x.shape[:-1], order // (2 * reach), 2, reach)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        out = torch.stack([first + second, first - second], -2).reshape(x.shape)
        reach *= 2
    return out
