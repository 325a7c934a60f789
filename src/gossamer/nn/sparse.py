"""Layers for prediction that skip the zeros of a pruned layer; each computes what the dense one computes.

    CSRLinear, CSRConv2d           any zeros: one pass over the nonzeros
    BlockLinear, BlockConv2d       16 outputs that share their inputs: one position for 16 weights
    CompactLinear, CompactConv2d   outputs or inputs that are all zero: a smaller dense product, put in place

Each is made from a dense layer by `from_dense`. Results differ from the dense layer's by rounding only,
because the order of additions differs. A convolution is a product with the patches of the image (im2col:
Chellapilla, Puri & Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.nn.packed import BlockMatrix, CSRMatrix, Matrix, Packed, frozen

Pair = tuple[int, int]
_COLUMNS = 4096  # images are multiplied together up to this many output places, to stay in cache


class _SparseLinear(Packed):
    """A linear layer with a packed matrix: x (..., in_features) to (..., out_features)."""

    packing: ClassVar[type[Matrix]]
    matrix: Matrix

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias = None if bias is None else frozen(bias)
        self.pack(weight)

    @classmethod
    def from_dense(cls, layer: nn.Module) -> Self:
        """Packs a linear layer, which is left as it is; raises ModelError for any other kind of layer."""
        return cls(*_linear_arrays(layer))

    def pack(self, weight: Tensor) -> None:
        """Takes over a weight (out_features, in_features)."""
        self.matrix = self.packing(weight)

    @property
    def weight(self) -> Tensor:
        """The dense weight, (out_features, in_features), made anew at each access."""
        return self.matrix.dense()

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · weightᵀ + bias, (..., out_features)."""
        _check_width(x, self.in_features)
        return self.matrix.linear(x, self.bias)

    def extra_repr(self) -> str:
        """Names the sizes and the number of stored weights."""
        stored = self.matrix.values.numel()
        return f"in_features={self.in_features}, out_features={self.out_features}, stored={stored}"


class CSRLinear(_SparseLinear):
    """A linear layer that multiplies by its nonzeros only."""

    kernel = "csr"
    packing = CSRMatrix


class BlockLinear(_SparseLinear):
    """A linear layer whose outputs, 16 at a time, use the same inputs."""

    kernel = "blocks"
    packing = BlockMatrix


class CompactLinear(Packed):
    """A linear layer that leaves out inputs nobody uses and outputs that are the bias alone.

    Parameters: `small` (kept outputs, used inputs) and `bias`; buffers: `rows` and `columns`, where they
        stand.
    """

    kernel = "compact"
    small: nn.Parameter
    rows: Tensor
    columns: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias = None if bias is None else frozen(bias)
        self.pack(weight)

    @classmethod
    def from_dense(cls, layer: nn.Module) -> Self:
        """Packs a linear layer, which is left as it is; raises ModelError for any other kind of layer."""
        return cls(*_linear_arrays(layer))

    def pack(self, weight: Tensor) -> None:
        """Takes over a weight (out_features, in_features)."""
        _compact(self, weight)

    @property
    def weight(self) -> Tensor:
        """The dense weight, (out_features, in_features), made anew at each access."""
        return _spread(self, (self.out_features, self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · weightᵀ + bias, (..., out_features)."""
        _check_width(x, self.in_features)
        used = x if self.columns.numel() == self.in_features else x.index_select(-1, self.columns)
        if self.rows.numel() == self.out_features:
            return F.linear(used, self.small, self.bias)
        product = F.linear(used, self.small, None if self.bias is None else self.bias[self.rows])
        out = x.new_zeros(*x.shape[:-1], self.out_features)
        if self.bias is not None:
            out.copy_(self.bias)
        return out.index_copy(-1, self.rows, product)

    def extra_repr(self) -> str:
        """Names the sizes, before and after."""
        kept, used = self.small.shape
        return f"in_features={self.in_features}, out_features={self.out_features}, small=({kept}, {used})"


class _Conv2d(Packed):
    """What the packed convolutions share: their shape, and how the dense layer moved over the image."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.kernel_size = (layer.kernel_size[0], layer.kernel_size[1])
        self.steps: dict[str, Any] = {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
        }
        self.bias = None if layer.bias is None else frozen(layer.bias)
        self.pack(layer.weight)

    @classmethod
    def from_dense(cls, layer: nn.Module) -> Self:
        """Packs a convolution, which is left as it is; raises ModelError for what it cannot follow."""
        if not isinstance(layer, nn.Conv2d):
            raise ModelError(f"{cls.__name__}: expected a Conv2d, found {type(layer).__name__}")
        if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ModelError(
                f"{cls.__name__}: groups={layer.groups}, padding={layer.padding!r}, "
                f"padding_mode={layer.padding_mode!r}; expected one group and zero padding given in pixels"
            )
        return cls(layer)

    @abstractmethod
    def _convolve(self, x: Tensor) -> Tensor:
        """Convolves a batch of images."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution of x (N, C_in, H, W), (N, C_out, H_out, W_out); N may be left out of both."""
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise ModelError(f"convolution: expected (N, {self.in_channels}, H, W), found {tuple(x.shape)}")
        return self._convolve(x) if x.dim() == 4 else self._convolve(x[None])[0]

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels, *self.kernel_size)

    def extra_repr(self) -> str:
        """Names the sizes."""
        steps = ", ".join(f"{name}={value}" for name, value in self.steps.items())
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, {steps}"


class _SparseConv2d(_Conv2d):
    """A convolution as a packed matrix (C_out, C_in · kh · kw) times the patches of each image."""

    packing: ClassVar[type[Matrix]]
    matrix: Matrix

    def pack(self, weight: Tensor) -> None:
        """Takes over a weight (C_out, C_in, kh, kw)."""
        self.matrix = self.packing(weight.flatten(1))

    @property
    def weight(self) -> Tensor:
        """The dense weight, (C_out, C_in, kh, kw), made anew at each access."""
        return self.matrix.dense().view(self._shape)

    def _convolve(self, x: Tensor) -> Tensor:
        patches = _patches(x, self.kernel_size, **self.steps)
        images, high, wide = patches.shape[3:]
        out = x.new_empty(images, self.out_channels, high, wide)
        step = max(1, _COLUMNS // max(1, high * wide))
        for first in range(0, images, step):
            part = patches[:, :, :, first : first + step]
            product = self.matrix.matmul(part.reshape(self.matrix.columns, -1))
            out[first : first + step] = product.view(self.out_channels, -1, high, wide).transpose(0, 1)
        if self.bias is not None:
            out += self.bias[:, None, None]
        return out


class CSRConv2d(_SparseConv2d):
    """A convolution that multiplies by its nonzeros only."""

    kernel = "csr"
    packing = CSRMatrix


class BlockConv2d(_SparseConv2d):
    """A convolution whose output channels, 16 at a time, use the same weights' places."""

    kernel = "blocks"
    packing = BlockMatrix


class CompactConv2d(_Conv2d):
    """A convolution without the channels that are zero.

    Parameters: `small` (kept outputs, used inputs, kh, kw) and `bias`; buffers: `rows` and `columns`.
    """

    kernel = "compact"
    small: nn.Parameter
    rows: Tensor
    columns: Tensor

    def pack(self, weight: Tensor) -> None:
        """Takes over a weight (C_out, C_in, kh, kw)."""
        _compact(self, weight)

    @property
    def weight(self) -> Tensor:
        """The dense weight, (C_out, C_in, kh, kw), made anew at each access."""
        return _spread(self, self._shape)

    def _convolve(self, x: Tensor) -> Tensor:
        used = x if self.columns.numel() == self.in_channels else x.index_select(1, self.columns)
        if self.rows.numel() == self.out_channels:
            return F.conv2d(used, self.small, self.bias, **self.steps)
        product = F.conv2d(used, self.small, None if self.bias is None else self.bias[self.rows], **self.steps)
        out = x.new_zeros(x.shape[0], self.out_channels, *product.shape[2:])
        if self.bias is not None:
            out.copy_(self.bias[:, None, None])
        return out.index_copy(1, self.rows, product)


def _linear_arrays(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2:
        raise ModelError(f"expected a linear layer with a weight (outputs, inputs), found {type(layer).__name__}")
    return weight.detach(), bias


def _check_width(x: Tensor, features: int) -> None:
    if x.shape[-1] != features:
        raise ModelError(f"linear layer: input has {x.shape[-1]} features, expected {features}")


def _patches(x: Tensor, kernel: tuple[int, int], *, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Returns the patches of images (N, C, H, W) as a view: (C, kh, kw, N, H_out, W_out).

    Copying this view is several times as fast as `F.unfold` on one core, and a 1 × 1 kernel needs no copy.
    """
    if any(padding):
        x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    high, wide = ((x.shape[2 + axis] - reach[axis]) // stride[axis] + 1 for axis in (0, 1))
    if high < 1 or wide < 1:
        raise ModelError(f"convolution: the kernel reaches over {reach}, the padded image is {tuple(x.shape[2:])}")
    n, c, h, w = x.stride()
    return x.as_strided(
        (x.shape[1], *kernel, x.shape[0], high, wide),
        (c, h * dilation[0], w * dilation[1], n, h * stride[0], w * stride[1]),
    )


def _compact(layer: CompactLinear | CompactConv2d, weight: Tensor) -> None:
    """Finds what is used; at least one row and one column stay, so that no product is empty."""
    used = (weight.detach() != 0).flatten(2).any(2) if weight.dim() > 2 else weight.detach() != 0
    for name, found in (("rows", used.any(1)), ("columns", used.any(0))):
        found[:1] |= ~found.any()
        layer.register_buffer(name, found.nonzero().flatten(), persistent=False)
    layer.small = frozen(weight.detach()[layer.rows][:, layer.columns].contiguous())


def _spread(layer: CompactLinear | CompactConv2d, shape: tuple[int, ...]) -> Tensor:
    weight = layer.small.new_zeros(shape)
    weight[layer.rows[:, None], layer.columns] = layer.small.detach()
    return weight
