"""Weights of signed bytes that meet inputs of signed bytes, and weights of 1, 2 or 4 bits that meet floats.

`Int8Weights`: symmetric, a scale for each output; inputs are scaled by one number or, if none is given, by the largest
magnitude of each example or image (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, without zero points).

`FewBitsWeights`: levels with a scale and perhaps an offset for each group of inputs; the input is not quantised. This
is the first layer of a binary network (levels 1, -1), a layer with ternary weights (0, 1, 0, -1), and the layer of a
large network whose time is that of reading its weights.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.kernels.low_bits import (
    FewBits,
    few_bits_linear,
    from_panels,
    int8_linear,
    pack_bytes,
    pack_few_bits,
    pack_int8,
    to_panels,
    unpack_bytes,
    unpack_few_bits,
)
from gossamer.nn.coded import CodedWeights, by_tap, check_codes, check_scale, from_taps, per_output


class Int8Weights(CodedWeights):
    """Signed bytes with a scale for each output.

    Args:
        codes: (outputs, inputs) or (outputs, inputs, kh, kw) int8.
        scale: (outputs,) float32.
        input_scale: What a step of 1 in the input stands for, above 0; larger inputs are cut off. None: as above.
    """

    panels: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, *, input_scale: float | None = None) -> None:
        super().__init__()
        check_codes(codes, torch.int8, -128, 127)
        check_scale(scale, codes.shape[0])
        check_input_scale(input_scale)
        self.shape = tuple(codes.shape)
        self.input_scale = input_scale
        self.register_buffer("panels", to_panels(pack_bytes(by_tap(codes)).flatten(1)))
        self.register_buffer("scale", scale.detach().clone())

    @classmethod
    def from_dense(cls, weight: Tensor, *, input_scale: float | None = None) -> Self:
        """Rounds a float weight; the largest magnitude of each output becomes 127."""
        words, scale = pack_int8(weight.detach().to(torch.float32).flatten(1))
        codes = unpack_bytes(words, weight[0].numel()).reshape(weight.shape)
        return cls(codes, scale, input_scale=input_scale)

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns x as bytes, and the scale of each row."""
        return byte_rows(x, self.input_scale)

    def quantize_images(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns images as bytes, and the scale of each image at each of its pixels."""
        return byte_images(x, self.input_scale)

    def multiply(self, rows: Tensor, x_scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Returns the scaled products with rows of bytes."""
        return int8_linear(rows, self.panels, math.prod(self.shape[1:]), self.scale, x_scale=x_scale, bias=bias)

    def dense(self) -> Tensor:
        """Returns scale · codes."""
        words = from_panels(self.panels, self.shape[0])
        taps = math.prod(self.shape[2:])
        codes = unpack_bytes(words.reshape(self.shape[0], taps, words.shape[1] // max(taps, 1)), self.shape[1])
        return per_output(self.scale, self.shape) * from_taps(codes, self.shape)


class FewBitsWeights(CodedWeights):
    """Codes that choose from 2, 4 or 16 levels, with scales for groups of inputs; inputs stay floats.

    Args:
        codes: (outputs, inputs) or (outputs, inputs, kh, kw) uint8.
        scales: (outputs, groups) float32; the groups run over kh, kw and inputs, in this order.
        levels: (2,), (4,) or (16,) float32.
        offsets: Like `scales`, added to each weight of a group; None: 0.
    """

    panels: Tensor
    scales: Tensor
    offsets: Tensor | None
    levels: Tensor

    def __init__(self, codes: Tensor, scales: Tensor, levels: Tensor, *, offsets: Tensor | None = None) -> None:
        super().__init__()
        check_codes(codes, torch.uint8, 0, levels.numel() - 1)
        self.shape = tuple(codes.shape)
        packed = pack_few_bits(by_tap(codes).flatten(1), scales, levels, offsets=offsets)
        self.group = packed.group
        self.register_buffer("panels", packed.panels)
        self.register_buffer("scales", packed.scales)
        self.register_buffer("offsets", packed.offsets)
        self.register_buffer("levels", levels.detach().clone())

    @classmethod
    def from_dense(cls, weight: Tensor, *, bits: int = 4, groups: int = 1) -> Self:
        """Rounds a float weight to equal steps between the smallest and the largest number of each group.

        Args:
            weight: (outputs, inputs) or (outputs, inputs, kh, kw).
            bits: 1, 2 or 4.
            groups: How many groups the inputs of an output make, each a multiple of 32, but for the last.
        """
        rows = by_tap(weight.detach().to(torch.float32)).flatten(1)
        codes, step, low = rounded(rows, bits, groups)
        taps = math.prod(weight.shape[2:])
        shaped = from_taps(codes.reshape(weight.shape[0], taps, weight.shape[1]), tuple(weight.shape))
        levels = torch.arange(2**bits, device=rows.device).to(torch.float32)
        return cls(shaped, step, levels, offsets=low)

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns x as it is."""
        return x, None

    def quantize_images(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns images as they are."""
        return x, None

    def multiply(self, rows: Tensor, x_scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Returns the products with rows of floats."""
        del x_scale
        return few_bits_linear(rows, self._packed(), bias)

    def dense(self) -> Tensor:
        """Returns scales · levels[codes] + offsets."""
        rows = unpack_few_bits(self._packed())
        return from_taps(rows.reshape(self.shape[0], math.prod(self.shape[2:]), self.shape[1]), self.shape)

    def _packed(self) -> FewBits:
        columns = math.prod(self.shape[1:])
        return FewBits(self.panels, self.scales, self.offsets, self.levels, self.shape[0], columns, self.group)


def rounded(rows: Tensor, bits: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rounds rows (outputs, inputs) to equal steps between the smallest and the largest number of each group.

    Returns:
        The codes (outputs, inputs) uint8, the steps and the smallest numbers (outputs, groups).
    """
    if bits not in (1, 2, 4):
        raise ModelError(f"bits: expected 1, 2 or 4, found {bits}")
    if rows.shape[1] == 0 or groups < 1:
        raise ModelError(f"expected at least 1 input and 1 group, found {rows.shape[1]} and {groups}")
    size = rows.shape[1] if groups == 1 else math.ceil(math.ceil(rows.shape[1] / groups) / 32) * 32
    parts = torch.split(rows, size, 1)
    low = torch.stack([part.amin(1) for part in parts], 1)
    step = (torch.stack([part.amax(1) for part in parts], 1) - low) / (2**bits - 1)
    of = torch.arange(rows.shape[1], device=rows.device) // size
    codes = ((rows - low[:, of]) / step.clamp(min=1e-30)[:, of]).round().clamp(0, 2**bits - 1)
    return codes.to(torch.uint8), step, low


def check_input_scale(scale: float | None) -> None:
    """Raises `ModelError` unless a step of the input is above 0, or None."""
    if scale is not None and not 0 < scale < math.inf:
        raise ModelError(f"input_scale: expected a number above 0, or None, found {scale}")


def byte_rows(x: Tensor, scale: float | None) -> tuple[Tensor, Tensor | None]:
    """Returns rows (..., inputs) as words of bytes, and what a step stands for in each: `scale`, or its own."""
    return pack_int8(x, None if scale is None else x.new_full(x.shape[:-1], scale))


def byte_images(x: Tensor, scale: float | None) -> tuple[Tensor, Tensor | None]:
    """Returns images (N, H, W, inputs) as words of bytes, and the scale of each image at each of its pixels."""
    if scale is not None or x.numel() == 0:
        return byte_rows(x, scale)
    own = x.abs().amax((1, 2, 3)) / 127.0
    return pack_int8(x, own[:, None, None].expand(x.shape[:3]).contiguous())
