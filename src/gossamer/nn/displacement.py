"""Square layers that are sums of products of circulants: matrices of low displacement rank, near to Toeplitz.

    M = ½ Σ_{i ≤ r} Z₁(g_i) Z₋₁(h_i)

Z_f(v) is the f-circulant matrix of v: Z_f(v)[j, k] = v[j - k] for j ≥ k, and f · v[n + j - k] above the diagonal. Every
matrix whose displacement Z₁ M - M Z₋₁ has rank r is such a sum (Z_f is Z_f of the second unit vector); Toeplitz
matrices have rank 2. It takes 2 r n numbers in place of n², and O(r n log n) arithmetic. Sindhwani, Sainath & Kumar,
"Structured transforms for small-footprint deep learning", NeurIPS 2015, equation 6.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.shapes import check_width


class ToeplitzLike(nn.Module):
    """A linear layer from n to n features of displacement rank r: 2 r n numbers and n biases.

    Args:
        features: n, at least 1.
        rank: r, at least 1.
        bias: Whether outputs have one.
    """

    def __init__(self, features: int, rank: int = 2, *, bias: bool = True) -> None:
        super().__init__()
        if min(features, rank) < 1:
            raise ModelError(f"ToeplitzLike: {features} features of rank {rank}; expected at least 1 of each")
        self.in_features = self.out_features = features
        size = (4.0 / rank) ** 0.25 / math.sqrt(features)  # a weight's variance is 1 / n
        self.left = nn.Parameter(torch.randn(rank, features) * size)
        self.right = nn.Parameter(torch.randn(rank, features) * size)
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The dense weight, (n, n), made anew at each access; differentiable."""
        products = [_circulant(g, 1.0) @ _circulant(h, -1.0) for g, h in zip(self.left, self.right, strict=True)]
        return 0.5 * torch.stack(products).sum(0)

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · weightᵀ + bias for x (..., n), by fast Fourier transforms."""
        check_width(x, self.in_features)
        turn = torch.exp(1j * math.pi * torch.arange(self.in_features, device=x.device) / self.in_features)
        inner = torch.fft.fft(x * turn).unsqueeze(-2) * torch.fft.fft(self.right * turn)  # (..., r, n)
        skew = torch.fft.ifft(inner) * turn.conj()
        outer = torch.fft.rfft(skew.real) * torch.fft.rfft(self.left)
        out: Tensor = 0.5 * torch.fft.irfft(outer.sum(-2), n=self.in_features)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"features={self.in_features}, rank={len(self.left)}"


def _circulant(values: Tensor, factor: float) -> Tensor:
    """Returns the f-circulant matrix of values (n,), (n, n)."""
    place = torch.arange(len(values), device=values.device)
    difference = place[:, None] - place
    matrix = values[difference % len(values)]
    return torch.where(difference >= 0, matrix, factor * matrix)
