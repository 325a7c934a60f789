"""Linear layers and convolutions whose weights follow from fewer numbers."""

from __future__ import annotations

from typing import Self, TypeVar

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.kernels.conv2d import Steps
from gossamer.nn.linear import Features
from gossamer.nn.shapes import check_convolution, check_images, check_width, linear_arrays
from gossamer.nn.sharing.form import Form, SharedWeights

L = TypeVar("L", nn.Linear, nn.Conv2d)


class Shared(nn.Module):
    """What both have in common: `weights` in a form, and a bias of their own.

    Args:
        weights: In their form.
        bias: (outputs,), of which a copy is made; None for none.
    """

    bias: nn.Parameter | None

    def __init__(self, weights: SharedWeights, bias: Tensor | None) -> None:
        super().__init__()
        self.weights = weights
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        """The dense weight, made anew at each access; differentiable."""
        return self.weights.dense()

    @property
    def form(self) -> Form:
        """How the weights follow from fewer numbers."""
        return self.weights.form


class SharedLinear(Shared):
    """A linear layer with shared weights."""

    def __init__(self, weights: SharedWeights, bias: Tensor | None = None) -> None:
        super().__init__(weights, bias)
        self.out_features, self.in_features = weights.shape
        self.out_channels, self.in_channels = weights.shape  # as PyTorch Geometric calls them

    @classmethod
    def like(cls, layer: nn.Module, form: Form) -> Self:
        """Returns a layer of the sizes and with the bias of a linear one; its weights are zero."""
        weight, bias = linear_arrays(layer)
        return cls(_weights(layer, form, tuple(weight.shape)), bias)

    def forward(self, x: Features) -> Tensor:
        """Returns x · weightᵀ + bias, (..., out_features); x may be a CSR."""
        check_width(x, self.in_features)  # type: ignore[arg-type]
        if isinstance(x, Tensor):
            return self.weights.linear(x, self.bias)
        product = x.matmul(self.weight.t())
        return product if self.bias is None else product + self.bias

    def to_dense(self) -> nn.Linear:
        """Returns the plain layer with the same weights."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        return _filled(layer, self)

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class SharedConv2d(Shared):
    """A convolution with shared weights and zero padding."""

    def __init__(
        self, weights: SharedWeights, bias: Tensor | None = None, *, steps: Steps | None = None, groups: int = 1
    ) -> None:
        super().__init__(weights, bias)
        kernel = (weights.shape[2], weights.shape[3])
        self.out_channels, self.in_channels = weights.shape[0], weights.shape[1] * groups
        self.steps, self.groups = Steps(kernel) if steps is None else steps, groups

    @classmethod
    def like(cls, layer: nn.Module, form: Form) -> Self:
        """Returns a layer of the sizes and with the bias of a convolution; its weights are zero."""
        if not isinstance(layer, nn.Conv2d):
            raise ModelError(f"{cls.__name__}: expected a Conv2d, found {type(layer).__name__}")
        check_convolution(cls.__name__, layer)
        pairs = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        steps = Steps(*((int(pair[0]), int(pair[1])) for pair in pairs))
        return cls(_weights(layer, form, tuple(layer.weight.shape)), layer.bias, steps=steps, groups=layer.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution of x (N, C_in, H, W), (N, C_out, H_out, W_out); N may be left out."""
        check_images(x, self.in_channels, self.steps)
        if x.dim() == 3:
            return self.weights.conv2d(x[None], self.bias, self.steps, self.groups)[0]
        return self.weights.conv2d(x, self.bias, self.steps, self.groups)

    def to_dense(self) -> nn.Conv2d:
        """Returns the plain layer with the same weights."""
        layer = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.steps.kernel,
            self.steps.stride,
            self.steps.padding,
            self.steps.dilation,
            self.groups,
            bias=self.bias is not None,
        )
        return _filled(layer, self)

    def extra_repr(self) -> str:
        """Names the sizes."""
        steps = ", ".join(f"{name}={value}" for name, value in self.steps._asdict().items())
        return f"{self.in_channels}, {self.out_channels}, {steps}, groups={self.groups}"


def shared_like(layer: nn.Module, form: Form) -> SharedLinear | SharedConv2d:
    """Returns the layer of shared weights that can stand for a linear one or a convolution; its weights are zero.

    Raises:
        ModelError: The layer is of another kind, or the form does not suit its weight.
    """
    return SharedConv2d.like(layer, form) if isinstance(layer, nn.Conv2d) else SharedLinear.like(layer, form)


def _weights(layer: nn.Module, form: Form, shape: tuple[int, ...]) -> SharedWeights:
    if not form.suits(shape):
        raise ModelError(f"form {form.name!r} does not suit the weight {shape} of a {type(layer).__name__}")
    return form.weights(shape)


def _filled(layer: L, shared: Shared) -> L:
    weight = shared.weight.detach()
    layer.weight = nn.Parameter(weight.clone())
    if shared.bias is not None:
        layer.bias = nn.Parameter(shared.bias.detach().clone())
    return layer
