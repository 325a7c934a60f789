"""Weights and inputs that are -1, 0 or 1, times a scale for each output.

Li, Zhang & Liu, "Ternary Weight Networks", 2016, for the weights: those below 0.7 times the mean magnitude of their
output become zero, and the scale is the mean magnitude of the others. Inputs up to a threshold become zero. Weights
that meet inputs in floats are `FewBitsWeights`.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.kernels.low_bits import from_panels, pack_bits, pack_ternary, ternary_linear, to_panels, unpack_bits
from gossamer.nn.coded import CodedWeights, by_tap, check_codes, check_scale, from_taps, per_output


class TernaryWeights(CodedWeights):
    """Ternary codes with a scale for each output.

    Args:
        codes: (outputs, inputs) or (outputs, inputs, kh, kw) int8, each -1, 0 or 1.
        scale: (outputs,) float32.
        threshold: Inputs of a magnitude up to it count as zero, others as their sign; at least 0.
    """

    panels: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, *, threshold: float) -> None:
        super().__init__()
        check_codes(codes, torch.int8, -1, 1)
        if not threshold >= 0:
            raise ModelError(f"threshold: expected at least 0, found {threshold}")
        check_scale(scale, codes.shape[0])
        self.shape = tuple(codes.shape)
        self.threshold = threshold
        taps = by_tap(codes)
        words = torch.stack([pack_bits(taps != 0), pack_bits(taps < 0)], -1)
        self.register_buffer("panels", to_panels(words.flatten(1, 2)))
        self.register_buffer("scale", scale.detach().clone())

    @classmethod
    def from_dense(cls, weight: Tensor, *, threshold: float) -> Self:
        """Makes the ternary codes of a float weight."""
        sizes = weight.detach().to(torch.float32).abs().flatten(1)
        kept = sizes > 0.7 * sizes.mean(1, keepdim=True)
        scale = (sizes * kept).sum(1) / kept.sum(1).clamp(min=1)
        codes = (weight.detach().sign().flatten(1) * kept).reshape(weight.shape)
        return cls(codes.to(torch.int8), scale, threshold=threshold)

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns x as ternary words, and 1, or NaN where a row has one."""
        return pack_ternary(x, self.threshold)

    def quantize_images(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns images as ternary words, and 1, or NaN where a pixel has one."""
        return pack_ternary(x, self.threshold)

    def multiply(self, rows: Tensor, x_scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Returns the scaled products with ternary rows."""
        return ternary_linear(rows, self.panels, math.prod(self.shape[1:]), self.scale, x_scale=x_scale, bias=bias)

    def dense(self) -> Tensor:
        """Returns scale · codes."""
        words = from_panels(self.panels, self.shape[0])
        taps = math.prod(self.shape[2:])
        pairs = words.reshape(self.shape[0], taps, words.shape[1] // max(taps, 1), 2)
        nonzero, negative = (unpack_bits(plane, self.shape[1]).to(torch.float32) for plane in pairs.unbind(-1))
        return per_output(self.scale, self.shape) * from_taps(nonzero * (1.0 - 2.0 * negative), self.shape)
