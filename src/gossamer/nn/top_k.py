"""A ReLU that lets only the largest through, so that how sparse an activation is does not depend on luck.

Of each row the k largest numbers stay, and of these what is above zero; gradients reach those alone. The winners take
all of Ahmad & Scheinkman, "How can we be so dense? The benefits of using highly sparse representations", 2019. Ours:
no boosting of units that seldom win.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gossamer.errors import SettingError


class TopKReLU(nn.Module):
    """Keeps a fraction of each row, rounded up: of an image all its channels and places, of others the features.

    Args:
        density: The fraction, in (0, 1].

    Raises:
        SettingError: The fraction is out of range.

    >>> TopKReLU(0.5)(torch.tensor([[3.0, -1.0, 2.0, 1.0], [-1.0, -2.0, 1.0, -4.0]])).tolist()
    [[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """

    def __init__(self, density: float = 0.1) -> None:
        super().__init__()
        if not 0.0 < density <= 1.0:
            raise SettingError(f"density is {density!r}; expected a number above 0 and at most 1")
        self.density = density

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W), or (..., F) of up to three dimensions, to the same shape."""
        rows = x.flatten(1) if x.dim() > 3 else x
        count = math.ceil(round(self.density * rows.shape[-1], 6))
        winners = torch.zeros_like(rows).scatter(-1, rows.topk(count, dim=-1, sorted=False).indices, 1.0)
        return (rows.relu() * winners).view_as(x)

    def extra_repr(self) -> str:
        """Returns the fraction."""
        return f"density={self.density:g}"
