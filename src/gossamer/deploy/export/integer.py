"""Layers of coded weights as ONNX knows them: bytes times bytes, summed in 32 bits, then scaled.

`MatMulInteger` and `ConvInteger` compute what these layers do: products of codes, one byte a weight in the file
whatever its bits. Bytes are unsigned with 128 in the place of zero, because ONNX Runtime's products with signed weights
saturate on processors without dot products of bytes. Padding is exact: it is with the byte that stands for zero.
Weights of few bits that meet floats are looked up in their levels and scaled in the program.

These modules are for tracing: torch cannot run them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.kernels.low_bits import from_panels, unpack_codes
from gossamer.nn import BinaryWeights, CodedConv2d, CodedLinear, FewBitsWeights, Int8Weights, TernaryWeights
from gossamer.nn.coded import from_taps, per_output

_ZERO = 128  # the byte that stands for zero
_LEAST = 1e-35  # rows of smaller numbers are zero, as `pack_int8` has them


def integer_layer(layer: CodedLinear | CodedConv2d) -> nn.Module:
    """Returns the layer that computes the same in ONNX.

    Raises:
        ModelError: Its weights are coded in a way that has no such form.
    """
    if isinstance(layer.weights, FewBitsWeights):
        few = layer.weights
        return _LevelsLinear(layer, few) if isinstance(layer, CodedLinear) else _LevelsConv2d(layer, few)
    if not isinstance(layer.weights, BinaryWeights | TernaryWeights | Int8Weights):
        raise ModelError(f"{type(layer.weights).__name__}: cannot be written as ONNX; export to .pt2 instead")
    return _IntegerLinear(layer) if isinstance(layer, CodedLinear) else _IntegerConv2d(layer)


class _Integer(nn.Module):
    """What the two layers of bytes share."""

    codes: Tensor
    zero: Tensor
    scale: Tensor

    def __init__(self, layer: CodedLinear | CodedConv2d) -> None:
        super().__init__()
        self.weights = layer.weights
        scale = per_output(layer.weights.get_buffer("scale"), layer.weights.shape)
        codes = torch.where(scale == 0, 0.0, layer.weights.dense() / scale)
        self.register_buffer("codes", (codes.round() + _ZERO).to(torch.uint8))
        self.register_buffer("zero", torch.tensor(_ZERO, dtype=torch.uint8))
        self.register_buffer("scale", layer.weights.get_buffer("scale"))
        self.bias = layer.bias

    def quantized(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Returns x as bytes and what a step of 1 stands for, with one number for all along `axes`."""
        weights, ones = self.weights, torch.ones_like(x.narrow(axes[0], 0, 1))
        if isinstance(weights, BinaryWeights):
            codes, size = torch.where(x < 0, -1.0, 1.0), x.abs().mean(axes[0], keepdim=True) if weights.mean else ones
        elif isinstance(weights, TernaryWeights):
            codes, size = torch.where(x.abs() > weights.threshold, x.sign(), 0.0), ones
        elif isinstance(weights, Int8Weights) and weights.input_scale is not None:
            codes, size = x * (1.0 / (ones * weights.input_scale)), ones * weights.input_scale
        else:
            peak = x.abs().amax(axes, keepdim=True)
            size, inverse = (torch.where(peak < _LEAST, 0.0, y) for y in (peak / 127.0, 127.0 / peak))
            codes = x * inverse
        return (codes.clamp(-127.0, 127.0).round() + _ZERO).to(torch.uint8), size

    def product(
        self, name: str, inputs: tuple[Tensor, Tensor], shape: tuple[Any, ...], attributes: dict[str, Any] | None = None
    ) -> Tensor:
        """Returns the sums of products of an ONNX operator as floats."""
        given = (*inputs, self.zero, self.zero)
        out: Tensor = torch.onnx.ops.symbolic(name, given, attributes or {}, dtype=torch.int32, shape=shape)
        return out.to(torch.float32)


class _IntegerLinear(_Integer):
    def forward(self, x: Tensor) -> Tensor:
        """Returns (..., outputs) for x (..., inputs)."""
        codes, size = self.quantized(x, (-1,))
        out = self.product("MatMulInteger", (codes, self.codes.T.contiguous()), (*x.shape[:-1], len(self.scale)))
        # One after the other: ONNX Runtime takes a product of two scales for one of scalars, and fuses it wrongly.
        out = out * size * self.scale
        return out if self.bias is None else out + self.bias


class _IntegerConv2d(_Integer):
    def __init__(self, layer: CodedConv2d) -> None:
        super().__init__(layer)
        self.steps = layer.steps[1:]
        taps = self.codes.shape[2] * self.codes.shape[3]
        self.register_buffer("spread", torch.full((1, 1, *self.codes.shape[2:]), 1.0 / taps))

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, outputs, H_out, W_out) for x (N, inputs, H, W)."""
        codes, size = self.quantized(x, (1, 2, 3) if isinstance(self.weights, Int8Weights) else (1,))
        (sy, sx), (py, px), (dy, dx) = self.steps
        kh, kw = self.codes.shape[2:]
        high = (x.shape[2] + 2 * py - dy * (kh - 1) - 1) // sy + 1
        wide = (x.shape[3] + 2 * px - dx * (kw - 1) - 1) // sx + 1
        attributes = {"strides": [sy, sx], "pads": [py, px, py, px], "dilations": [dy, dx]}
        out = self.product("ConvInteger", (codes, self.codes), (x.shape[0], len(self.scale), high, wide), attributes)
        if isinstance(self.weights, BinaryWeights) and self.weights.mean:
            size = F.conv2d(size, self.get_buffer("spread"), None, *self.steps)
        else:
            size = size[:, :, :1, :1]  # the same everywhere
        out = out * size * self.scale[:, None, None]
        return out if self.bias is None else out + self.bias[:, None, None]


class _Levels(nn.Module):
    """What the two layers of few bits share: a weight that the program makes from codes, levels and scales."""

    codes: Tensor
    one: Tensor
    levels: Tensor
    scales: Tensor
    offsets: Tensor | None

    def __init__(self, layer: CodedLinear | CodedConv2d, weights: FewBitsWeights) -> None:
        super().__init__()
        outputs, columns = weights.shape[0], math.prod(weights.shape[1:])
        bits = weights.levels.shape[0].bit_length() - 1
        offsets = None if weights.offsets is None else from_panels(weights.offsets, outputs)
        groups = weights.scales.shape[1]  # the last one may be shorter, and is filled up with code 0
        codes = unpack_codes(from_panels(weights.panels, outputs), bits, columns)
        size = columns if groups == 1 else weights.group
        codes = F.pad(codes, (0, groups * size - columns)).view(outputs, groups, size)
        self.register_buffer("codes", codes)
        self.register_buffer("one", torch.tensor(1.0))
        self.register_buffer("levels", weights.levels)
        self.register_buffer("scales", from_panels(weights.scales, outputs))
        self.register_buffer("offsets", offsets)
        self.bias = layer.bias
        self.shape = weights.shape

    def weight(self) -> Tensor:
        """Returns the dense weight in its shape."""
        shape = self.codes.shape
        # No optimiser computes this operator in advance, so the bytes stay bytes in the file.
        codes = torch.onnx.ops.symbolic("DequantizeLinear", (self.codes, self.one), dtype=torch.float32, shape=shape)
        rows = self.levels[codes.long()] * self.scales[..., None]
        rows = rows if self.offsets is None else rows + self.offsets[..., None]
        rows = rows.flatten(1)[:, : math.prod(self.shape[1:])]
        taps = math.prod(self.shape[2:])
        return from_taps(rows.reshape(self.shape[0], taps, self.shape[1]), self.shape)


class _LevelsLinear(_Levels):
    def forward(self, x: Tensor) -> Tensor:
        """Returns (..., outputs) for x (..., inputs)."""
        return F.linear(x, self.weight(), self.bias)


class _LevelsConv2d(_Levels):
    def __init__(self, layer: CodedConv2d, weights: FewBitsWeights) -> None:
        super().__init__(layer, weights)
        self.steps = layer.steps[1:]

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, outputs, H_out, W_out) for x (N, inputs, H, W)."""
        return F.conv2d(x, self.weight(), self.bias, *self.steps)
