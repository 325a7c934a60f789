"""Max pooling over 2×2 pixels by two passes of elementwise maxima: over neighbouring rows, then columns.

PyTorch's own compares pixel by pixel with a branch, which the processor mispredicts where images differ; maxima of
whole rows have none. The same values to the bit, NaN included. For prediction: among equal pixels the gradient would be
shared.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError


class MaximaPool2d(nn.Module):
    """Halves images (..., H, W) to (..., ⌊H / 2⌋, ⌊W / 2⌋); has no settings and no weights."""

    kernel = "maxima"

    @classmethod
    def from_dense(cls, layer: nn.Module) -> Self:
        """Returns the stand-in of a max pooling layer.

        Raises:
            ModelError: It is no `MaxPool2d`, or one with other settings than 2×2 pixels side by side.
        """
        if not isinstance(layer, nn.MaxPool2d):
            raise ModelError(f"{cls.__name__}: expected a MaxPool2d, found {type(layer).__name__}")
        settings = [_pair(value) for value in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)]
        if settings != [(2, 2), (2, 2), (0, 0), (1, 1)] or layer.ceil_mode or layer.return_indices:
            raise ModelError(f"{cls.__name__}: expected 2x2 pixels side by side and no indices, found {layer}")
        return cls()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the maxima of x (N, C, H, W) or (C, H, W); odd rows and columns at the end are left out."""
        x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
