"""Weights and inputs that are -1 or 1, times a scale for each output and perhaps one for each example.

Rastegari, Ordonez, Redmon & Farhadi, "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks",
ECCV 2016: the scale of an output is the mean magnitude of its weights, that of an example or patch the mean magnitude
of its numbers. Without the latter it is the network of Hubara et al., "Binarized Neural Networks", NeurIPS 2016.
A zero counts as 1; the padding of a convolution adds nothing, as it does in the float layer.
"""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.kernels.low_bits import binary_linear, from_panels, pack_bits, pack_signs, to_panels, unpack_bits
from gossamer.nn.coded import CodedWeights, by_tap, check_codes, check_scale, from_taps, per_output


class BinaryWeights(CodedWeights):
    """Signs with a scale for each output.

    Args:
        signs: (outputs, inputs) or (outputs, inputs, kh, kw) int8, each -1 or 1.
        scale: (outputs,) float32.
        mean: Whether inputs are scaled by their mean magnitude; else by 1.
    """

    pads: ClassVar[bool] = False
    panels: Tensor
    scale: Tensor

    def __init__(self, signs: Tensor, scale: Tensor, *, mean: bool = True) -> None:
        super().__init__()
        check_codes(signs, torch.int8, -1, 1)
        if not signs.all():
            raise ModelError("signs: expected -1 or 1, found 0; use TernaryWeights, or choose a sign for zero")
        check_scale(scale, signs.shape[0])
        self.shape = tuple(signs.shape)
        self.mean = mean
        words = pack_bits(by_tap(signs) < 0).flatten(1)
        self.register_buffer("panels", to_panels(words))
        self.register_buffer("scale", scale.detach().clone())

    @classmethod
    def from_dense(cls, weight: Tensor, *, mean: bool = True) -> Self:
        """Takes the signs of a float weight, and the mean magnitude of each output for its scale."""
        signs = torch.where(weight < 0, -1, 1).to(torch.int8)
        return cls(signs, weight.detach().to(torch.float32).abs().flatten(1).mean(1), mean=mean)

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the signs of x and the scale of each row."""
        return pack_signs(x, mean=self.mean)

    def quantize_images(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the signs of images and the scale of each pixel."""
        return pack_signs(x, mean=self.mean)

    def patch_scale(self, scales: Tensor) -> Tensor:
        """Returns the mean of the pixels' scales, places outside the image included; or their common 1."""
        return scales.mean(-1) if self.mean else scales.amax(-1)

    def multiply(self, rows: Tensor, x_scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Returns the scaled products with rows of signs."""
        return binary_linear(rows, self.panels, math.prod(self.shape[1:]), self.scale, x_scale=x_scale, bias=bias)

    def dense(self) -> Tensor:
        """Returns scale · signs."""
        words = from_panels(self.panels, self.shape[0])
        taps = math.prod(self.shape[2:])
        negative = unpack_bits(words.reshape(self.shape[0], taps, words.shape[1] // max(taps, 1)), self.shape[1])
        return per_output(self.scale, self.shape) * (1.0 - 2.0 * from_taps(negative, self.shape))
