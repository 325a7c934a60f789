"""Layers for prediction that leave out what is zero as a whole, and multiply the rest densely.

Outputs that are the bias alone and inputs that nobody uses go; what is left is a smaller dense product, put in place.
"""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.kernels.conv2d import Steps
from gossamer.nn.packed import Packed, frozen
from gossamer.nn.shapes import check_convolution, check_images, check_width, linear_arrays

KERNEL = "compact"


class CompactLinear(Packed):
    """A linear layer that leaves out inputs nobody uses and outputs that are the bias alone.

    Parameters: `small` (kept outputs, used inputs) and `bias`; buffers: `rows` and `columns`, where they
        stand.
    """

    small: nn.Parameter
    rows: Tensor
    columns: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, *, relu: bool = False) -> None:
        super().__init__()
        self.kernel, self.relu = KERNEL, relu
        self.out_features, self.in_features = weight.shape
        self.bias = None if bias is None else frozen(bias)
        self.pack(weight)

    @classmethod
    def from_dense(cls, layer: nn.Module, *, relu: bool = False) -> Self:
        """Packs a linear layer, which is left as it is; raises ModelError for any other kind of layer."""
        return cls(*linear_arrays(layer), relu=relu)

    def pack(self, weight: Tensor) -> None:
        """Takes over a weight (out_features, in_features)."""
        _compact(self, weight)

    @property
    def weight(self) -> Tensor:
        """The dense weight, (out_features, in_features), made anew at each access."""
        return _spread(self, (self.out_features, self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · weightᵀ + bias, (..., out_features), or its ReLU."""
        check_width(x, self.in_features)
        out = self._multiply(x)
        return out.relu_() if self.relu else out

    def _multiply(self, x: Tensor) -> Tensor:
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


class CompactConv2d(Packed):
    """A convolution without the channels that are zero.

    Parameters: `small` (kept outputs, used inputs, kh, kw) and `bias`; buffers: `rows` and `columns`.
    """

    small: nn.Parameter
    rows: Tensor
    columns: Tensor

    def __init__(self, layer: nn.Conv2d, *, relu: bool = False) -> None:
        """Packs a convolution, which is left as it is."""
        super().__init__()
        check_convolution(type(self).__name__, layer)
        if layer.groups != 1:
            raise ModelError(f"{type(self).__name__}: groups={layer.groups}; expected one group")
        self.kernel, self.relu = KERNEL, relu
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        pairs = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        self.steps = Steps(*((int(pair[0]), int(pair[1])) for pair in pairs))
        self.bias = None if layer.bias is None else frozen(layer.bias)
        self.pack(layer.weight)

    @classmethod
    def from_dense(cls, layer: nn.Module, *, relu: bool = False) -> Self:
        """Packs a convolution, which is left as it is; raises ModelError for what it cannot follow."""
        if not isinstance(layer, nn.Conv2d):
            raise ModelError(f"{cls.__name__}: expected a Conv2d, found {type(layer).__name__}")
        return cls(layer, relu=relu)

    def pack(self, weight: Tensor) -> None:
        """Takes over a weight (C_out, C_in, kh, kw)."""
        _compact(self, weight)

    @property
    def weight(self) -> Tensor:
        """The dense weight, (C_out, C_in, kh, kw), made anew at each access."""
        return _spread(self, (self.out_channels, self.in_channels, *self.steps.kernel))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution of x (N, C_in, H, W), (N, C_out, H_out, W_out), or its ReLU; N may be left out."""
        check_images(x, self.in_channels, self.steps)
        out = self._convolve(x) if x.dim() == 4 else self._convolve(x[None])[0]
        return out.relu_() if self.relu else out

    def extra_repr(self) -> str:
        """Names the sizes, before and after."""
        kept, used = self.small.shape[:2]
        steps = ", ".join(f"{name}={value}" for name, value in self.steps._asdict().items())
        return f"{self.in_channels}, {self.out_channels}, {steps}, small=({kept}, {used})"

    def _convolve(self, x: Tensor) -> Tensor:
        steps = self.steps[1:]
        used = x if self.columns.numel() == self.in_channels else x.index_select(1, self.columns)
        if self.rows.numel() == self.out_channels:
            return F.conv2d(used, self.small, self.bias, *steps)
        product = F.conv2d(used, self.small, None if self.bias is None else self.bias[self.rows], *steps)
        out = x.new_zeros(x.shape[0], self.out_channels, *product.shape[2:])
        if self.bias is not None:
            out.copy_(self.bias[:, None, None])
        return out.index_copy(1, self.rows, product)


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
