"""Layers for prediction whose weights are codes of 1 to 8 bits, with a scale for each output.

A layer joins two things: how weights are coded and what inputs they meet (`BinaryWeights`, `TernaryWeights`,
`Int8Weights`, `FewBitsWeights`), and how the layer moves over its input (`CodedLinear`, `CodedConv2d`). A convolution
quantises each pixel's channels first and gathers the patches of words afterwards, so that gathering moves 4 to 32
times fewer bytes than it would with floats (im2col: Chellapilla, Puri & Simard, "High Performance Convolutional Neural
Networks for Document Processing", 2006).

The state dict holds the codes as they are multiplied, which is the same on every processor, and their scales.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.kernels.conv2d import Steps
from gossamer.nn.packed import frozen


class CodedWeights(nn.Module, ABC):
    """The interface of coded weights (outputs, inputs, *kernel).

    Attributes:
        pads: Whether words that are zero stand for inputs that are zero.
        shape: That of the dense weight.
    """

    pads: ClassVar[bool] = True
    shape: tuple[int, ...]

    @abstractmethod
    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turns float rows (..., inputs) into what `multiply` takes and a scale for each row, or None."""

    @abstractmethod
    def quantize_images(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turns images (N, H, W, inputs) into (N, H, W, ...) and (N, H, W), with scales that patches can share."""

    def patch_scale(self, scales: Tensor) -> Tensor:
        """Returns the scale of each patch for those of its pixels (..., taps), which are zero outside the image."""
        return scales.amax(-1)

    @abstractmethod
    def multiply(self, rows: Tensor, x_scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Returns rows · weightᵀ + bias, (..., outputs), for rows of all taps."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Returns the dense weight that the codes stand for, in `shape`."""

    def weight_counts(self) -> tuple[int, int]:
        """Returns how many weights the codes stand for, and how many of them are not zero; `cost.measure` asks."""
        return math.prod(self.shape), int(torch.count_nonzero(self.dense()))


class CodedLinear(nn.Module):
    """A linear layer with coded weights: x (..., in_features) float32 to (..., out_features)."""

    def __init__(self, weights: CodedWeights, bias: Tensor | None = None) -> None:
        super().__init__()
        if len(weights.shape) != 2:
            raise ModelError(f"CodedLinear: expected weights (outputs, inputs), found {weights.shape}")
        self.out_features, self.in_features = weights.shape
        self.weights = weights
        self.bias = None if bias is None else frozen(bias)

    @classmethod
    def from_dense(cls, layer: nn.Module, code: Callable[[Tensor], CodedWeights]) -> Self:
        """Codes the weight of a linear layer, which is left as it is.

        Args:
            layer: Anything with a `weight` (outputs, inputs) and perhaps a `bias`.
            code: Makes the coded weights, for example `BinaryWeights.from_dense`.

        Raises:
            ModelError: The layer is of another kind.
        """
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            raise ModelError(f"expected a linear layer with a weight (outputs, inputs), found {type(layer).__name__}")
        return cls(code(weight.detach()), bias)

    @property
    def weight(self) -> Tensor:
        """The dense weight, made anew at each access."""
        return self.weights.dense()

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · weightᵀ + bias with the input quantised, (..., out_features)."""
        if x.dim() < 1 or x.shape[-1] != self.in_features:
            raise ModelError(f"linear layer: input is {tuple(x.shape)}, expected (..., {self.in_features})")
        return self.weights.multiply(*self.weights.quantize(x), self.bias)

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class CodedConv2d(nn.Module):
    """A convolution with coded weights and zero padding: (N, C_in, H, W) float32 to (N, C_out, H_out, W_out).

    The result is laid out with its channels last, as the next such layer reads it.

    Attributes:
        tap_sums: (C_out, kh · kw) what each place outside the image would add to an output; None where that is zero.
    """

    tap_sums: Tensor | None

    def __init__(self, weights: CodedWeights, bias: Tensor | None = None, *, steps: Steps | None = None) -> None:
        super().__init__()
        if len(weights.shape) != 4:
            raise ModelError(f"CodedConv2d: expected weights (outputs, inputs, kh, kw), found {weights.shape}")
        kernel = (weights.shape[2], weights.shape[3])
        if steps is not None and steps.kernel != kernel:
            raise ModelError(f"CodedConv2d: expected steps of the weights' kernel {kernel}, found {steps}")
        self.out_channels, self.in_channels = weights.shape[:2]
        self.weights = weights
        self.bias = None if bias is None else frozen(bias)
        self.steps = Steps(kernel) if steps is None else steps
        self.register_buffer("tap_sums", None, persistent=False)
        _sum_taps(self, None)
        self.register_load_state_dict_post_hook(_sum_taps)  # type: ignore[no-untyped-call]

    @classmethod
    def from_dense(cls, layer: nn.Module, code: Callable[[Tensor], CodedWeights]) -> Self:
        """Codes the weight of a convolution, which is left as it is.

        Args:
            layer: A `Conv2d` of one group and with zero padding given in pixels.
            code: Makes the coded weights, for example `BinaryWeights.from_dense`.

        Raises:
            ModelError: The layer is of another kind or uses an option that this one cannot follow.
        """
        if not isinstance(layer, nn.Conv2d):
            raise ModelError(f"{cls.__name__}: expected a Conv2d, found {type(layer).__name__}")
        if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ModelError(
                f"{cls.__name__}: groups={layer.groups}, padding={layer.padding!r}, "
                f"padding_mode={layer.padding_mode!r}; expected one group and zero padding given in pixels"
            )
        pairs = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        steps = Steps(*((int(pair[0]), int(pair[1])) for pair in pairs))
        return cls(code(layer.weight.detach()), layer.bias, steps=steps)

    @property
    def weight(self) -> Tensor:
        """The dense weight, made anew at each access."""
        return self.weights.dense()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution of x, quantised; N may be left out of both."""
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise ModelError(f"convolution: expected (N, {self.in_channels}, H, W), found {tuple(x.shape)}")
        if x.dim() == 3:
            return self.forward(x[None])[0]
        words, scale = self.weights.quantize_images(x.permute(0, 2, 3, 1))
        rows = self._patches(words)
        if scale is not None:
            scale = self.weights.patch_scale(self._patches(scale.unsqueeze(-1)))
        out = self.weights.multiply(rows, scale, self.bias)
        if self.tap_sums is not None:
            inside = self._patches(self.tap_sums.new_ones(1, x.shape[2], x.shape[3], 1))
            surplus = (1.0 - inside) @ self.tap_sums.T
            out -= surplus if scale is None else scale.unsqueeze(-1) * surplus
        return out.permute(0, 3, 1, 2)

    def _patches(self, x: Tensor) -> Tensor:
        """Returns the patches (N, H_out, W_out, kh · kw · D) of x (N, H, W, D), or of pairs (N, H, W, D, 2) as such."""
        (kh, kw), (sy, sx), (py, px), (dy, dx) = self.steps
        high, wide = self.steps.out_size(x.shape[1], x.shape[2])
        if high < 1 or wide < 1:
            raise ModelError(f"convolution: an image of {tuple(x.shape[1:3])} is smaller than the kernel's reach")
        flat = x.flatten(3).contiguous()
        if py or px:
            flat = F.pad(flat, (0, 0, px, px, py, py))
        n, h, w, d = flat.stride()
        shape = (x.shape[0], high, wide, kh, kw, flat.shape[3])
        view = flat.as_strided(shape, (n, h * sy, w * sx, h * dy, w * dx, d))
        pairs = tuple(x.shape[4:])
        return view.reshape(*shape[:3], kh * kw * x.shape[3], *pairs)

    def extra_repr(self) -> str:
        """Names the sizes."""
        steps = ", ".join(f"{name}={value}" for name, value in self.steps._asdict().items())
        return f"{self.in_channels}, {self.out_channels}, {steps}"


def _sum_taps(layer: CodedConv2d, keys: object) -> None:
    """Brings `tap_sums` up to date with the codes; also called after a state dict was loaded."""
    del keys
    if any(layer.steps.padding) and not layer.weights.pads:
        layer.tap_sums = layer.weights.dense().sum(1).flatten(1)


def by_tap(codes: Tensor) -> Tensor:
    """Returns codes (outputs, inputs, *kernel) as (outputs, taps, inputs), the order of the rows of patches."""
    return codes.flatten(2).transpose(1, 2) if codes.dim() > 2 else codes[:, None]


def from_taps(codes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns codes (outputs, taps, inputs) in `shape`: the inverse of `by_tap`."""
    return codes.transpose(1, 2).reshape(shape)


def per_output(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns one value an output, (outputs,), in a shape that multiplies a weight of `shape`."""
    return values.reshape(-1, *(1,) * (len(shape) - 1))


def check_codes(codes: Tensor, dtype: torch.dtype, low: int, high: int) -> None:
    """Raises `ModelError` unless `codes` is a weight (outputs, inputs, *kernel) of `dtype` within [low, high]."""
    if codes.dtype is not dtype or codes.dim() not in (2, 4):
        raise ModelError(
            f"codes: expected {dtype} of shape (outputs, inputs) or (outputs, inputs, kh, kw), "
            f"found {codes.dtype} of shape {tuple(codes.shape)}"
        )
    if codes.numel() and (int(codes.min()) < low or int(codes.max()) > high):
        raise ModelError(f"codes: expected values in [{low}, {high}], found {int(codes.min())} to {int(codes.max())}")


def check_scale(scale: Tensor, outputs: int) -> None:
    """Raises `ModelError` unless `scale` is float32 of shape (outputs,)."""
    if scale.dtype is not torch.float32 or scale.shape != (outputs,):
        raise ModelError(f"scale: expected float32 of shape ({outputs},), found {scale.dtype} {tuple(scale.shape)}")
