"""What linear layers and convolutions with packed weights check of the layers they replace and of their inputs."""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.kernels.conv2d import Steps


def linear_arrays(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Returns the weight and the bias of a linear layer; raises ModelError for any other kind of layer."""
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2:
        raise ModelError(f"expected a linear layer with a weight (outputs, inputs), found {type(layer).__name__}")
    return weight.detach(), bias


def check_width(x: Tensor, features: int) -> None:
    """Raises ModelError unless x is (..., features)."""
    if x.shape[-1] != features:
        raise ModelError(f"linear layer: input has {x.shape[-1]} features, expected {features}")


def check_convolution(name: str, layer: nn.Conv2d) -> None:
    """Raises ModelError, for the layer called `name`, unless the padding is zeros given in pixels."""
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise ModelError(
            f"{name}: padding={layer.padding!r}, padding_mode={layer.padding_mode!r}; "
            "expected zero padding given in pixels"
        )


def check_images(x: Tensor, channels: int, steps: Steps) -> None:
    """Raises ModelError unless x is (N, channels, H, W) or (channels, H, W) and no smaller than the kernel."""
    if x.dim() not in (3, 4) or x.shape[-3] != channels:
        raise ModelError(f"convolution: expected (N, {channels}, H, W), found {tuple(x.shape)}")
    if min(steps.out_size(x.shape[-2], x.shape[-1])) < 1:
        raise ModelError(f"convolution: the kernel reaches beyond the padded image, {tuple(x.shape)}; expected {steps}")
