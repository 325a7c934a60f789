"""A linear layer or convolution as a chain of smaller ones, which multiply out to one weight of low rank.

| form | chain, for a layer from C to N channels with a kernel K | ranks | weights |
|---|---|---|---|
| `matrix` | C → r over K, then 1×1 to N (of a linear layer: two linear layers) | r | r (C·K + N) |
| `inputs` | 1×1 to r, then r → N over K | r | r (C + N·K) |
| `separable` | C → r over the columns of K, then r → N over its rows | r | r (C·K_h + K_w·N) |
| `tucker` | 1×1 to r, r → s over K, 1×1 to N | r, s | C·r + K·r·s + N·s |
| `train` | 1×1 to r_1, r_i → r_{i+1} over each axis of K, 1×1 to N | r_1, ... | C·r_1 + Σ r_i K_i r_{i+1} + N·r_n |
| `depthwise` | r kernels K for each channel alone, then 1×1 from C·r to N | r | r C (K + N) |
| `cp` | 1×1 to r, one convolution an axis of K with a kernel a channel, 1×1 to N | r | r (C + Σ K_a + N) |

Stride, padding and dilation go with the axes of the kernel, so the chain computes what the product of its weights
would, for any of them and for every padding mode. The bias is the last layer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError, unknown
from gossamer.nn.linear import Linear

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

_SIZES = ("in_features", "out_features", "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")


class Factorized(nn.Sequential):
    """The chain; a network may go on asking it for the sizes of the layer it replaced, and for its weight.

    Attributes:
        form: Which chain it is, one of `FORMS`; "" for a part of one.
        ranks: Its ranks, in the order of the table above.
    """

    def __init__(self, *layers: Any, form: str = "", ranks: Sequence[int] = ()) -> None:
        super().__init__(*layers)
        self.form = form
        self.ranks = tuple(ranks)

    @classmethod
    def like(cls, layer: nn.Module, form: str, ranks: Sequence[int]) -> Self:
        """Returns a chain in place of a layer, its weights and its bias zero.

        Args:
            layer: A linear layer, or a convolution without groups.
            form: One of `FORMS`.
            ranks: As many as the form has, each at least 1.

        Raises:
            ModelError: The layer is of another kind or has groups, or the form does not serve it.
        """
        if form not in FORMS:
            raise ModelError(unknown("form of factorised layers", form, FORMS))
        reason = obstacle(layer, form)
        if reason:
            raise ModelError(f"a {type(layer).__name__} cannot take the form {form!r}: {reason}")
        weight = cast("Tensor", layer.weight)
        expected = {"tucker": 2, "train": weight.dim() - 1}.get(form, 1)
        if len(ranks) != expected or min(ranks) < 1:
            raise ModelError(f"form {form!r} has {expected} ranks of at least 1, found {tuple(ranks)}")
        with torch.device("meta"):
            layers = FORMS[form](_Maker(layer), *ranks)
        chain = cls(*layers, form=form, ranks=ranks)
        chain = chain.to(weight.dtype).to_empty(device=weight.device).train(layer.training)
        for parameter in chain.parameters():
            nn.init.zeros_(parameter)
            parameter.requires_grad_(weight.requires_grad)
        for name in _SIZES:
            if hasattr(layer, name):
                setattr(chain, name, getattr(layer, name))
        return chain

    @property
    def weight(self) -> Tensor:
        """The product of the chain in the shape of the weight it replaced, made anew at each access."""
        first, *others = (cast("Tensor", layer.weight) for layer in self)
        first = _ungrouped(first, getattr(self[0], "groups", 1))
        depthwise = [getattr(layer, "groups", 1) > 1 for layer in self][1:]
        product = first
        for weight, alone in zip(others, depthwise, strict=True):
            # On each axis of the kernel one factor at most is longer than 1, so convolving is multiplying.
            product = weight * product if alone else torch.einsum("or...,rc...->oc...", weight, product)
        return product

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias of the last layer."""
        return cast("nn.Parameter | None", self[-1].bias)

    def extra_repr(self) -> str:
        """Names form and ranks."""
        return f"form={self.form!r}, ranks={self.ranks}"


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    """Returns the weight of a convolution in groups as one without: zeros between what belongs to different groups."""
    if groups == 1:
        return weight
    blocks = weight.reshape(groups, -1, weight.shape[1], weight[0, 0].numel())  # group, output, input, kernel
    whole = torch.einsum("goik,gh->gohik", blocks, torch.eye(groups, dtype=weight.dtype, device=weight.device))
    return whole.reshape(len(weight), groups * weight.shape[1], *weight.shape[2:])


class _Maker:
    """Makes parts of a layer."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        shape = cast("Tensor", layer.weight).shape
        self.outputs, self.inputs = shape[0], shape[1]
        self.axes = range(len(shape) - 2)
        self.bias = layer.bias is not None

    def part(self, inputs: int, outputs: int, axes: Sequence[int], *, bias: bool = False, alone: bool = False) -> Any:
        """Returns a layer over some axes of the kernel; `alone` gives each channel a kernel of its own."""
        if not isinstance(self.layer, CONVOLUTIONS):
            linear = Linear if isinstance(self.layer, Linear) else nn.Linear
            return linear(inputs, outputs, bias=bias)
        layer = self.layer
        kind = next(kind for kind in CONVOLUTIONS if isinstance(layer, kind))

        def along(values: Any, otherwise: int) -> Any:
            return tuple(value if axis in axes else otherwise for axis, value in enumerate(values))

        padding: Any = layer.padding if isinstance(layer.padding, str) else along(layer.padding, 0)
        return kind(
            inputs,
            outputs,
            along(layer.kernel_size, 1),
            stride=along(layer.stride, 1),
            padding=padding if axes else 0,
            dilation=along(layer.dilation, 1),
            groups=inputs if alone else 1,
            bias=bias,
            padding_mode=layer.padding_mode if axes else "zeros",
        )


def _matrix(of: _Maker, rank: int) -> list[nn.Module]:
    return [of.part(of.inputs, rank, of.axes), of.part(rank, of.outputs, (), bias=of.bias)]


def _inputs(of: _Maker, rank: int) -> list[nn.Module]:
    return [of.part(of.inputs, rank, ()), of.part(rank, of.outputs, of.axes, bias=of.bias)]


def _separable(of: _Maker, rank: int) -> list[nn.Module]:
    return [of.part(of.inputs, rank, (0,)), of.part(rank, of.outputs, (1,), bias=of.bias)]


def _tucker(of: _Maker, inner: int, outer: int) -> list[nn.Module]:
    return [
        of.part(of.inputs, inner, ()),
        of.part(inner, outer, of.axes),
        of.part(outer, of.outputs, (), bias=of.bias),
    ]


def _cp(of: _Maker, rank: int) -> list[nn.Module]:
    along = [of.part(rank, rank, (axis,), alone=True) for axis in of.axes]
    return [of.part(of.inputs, rank, ()), *along, of.part(rank, of.outputs, (), bias=of.bias)]


def _train(of: _Maker, *ranks: int) -> list[nn.Module]:
    along = [
        of.part(before, after, (axis,)) for axis, before, after in zip(of.axes, ranks[:-1], ranks[1:], strict=True)
    ]
    return [of.part(of.inputs, ranks[0], ()), *along, of.part(ranks[-1], of.outputs, (), bias=of.bias)]


def _depthwise(of: _Maker, rank: int) -> list[nn.Module]:
    inner = of.inputs * rank
    return [of.part(of.inputs, inner, of.axes, alone=True), of.part(inner, of.outputs, (), bias=of.bias)]


FORMS: dict[str, Callable[..., list[nn.Module]]] = {
    "matrix": _matrix,
    "inputs": _inputs,
    "separable": _separable,
    "tucker": _tucker,
    "cp": _cp,
    "train": _train,
    "depthwise": _depthwise,
}


def around_narrowest(
    linear: nn.Module, inputs: int, outputs: int, *, sparse: bool = False
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Returns the layers of a linear map before and after the place where its vectors are narrowest, the first of such.

    A sum over neighbours may stand before, between or after them, and costs what the vectors are wide there.

    Args:
        linear: A layer or a chain, without bias.
        inputs: Width of its input.
        outputs: Width of its output.
        sparse: Whether the input is sparse, so that the first layer comes first.
    """
    layers = list(linear) if isinstance(linear, Factorized) else [linear]
    widths = [inputs, *(cast("int", layer.out_features) for layer in layers[:-1]), outputs]
    place = min(range(1 if sparse else 0, len(widths)), key=lambda i: widths[i])
    return layers[:place], layers[place:]


def obstacle(layer: nn.Module, form: str) -> str:
    """Says what keeps a layer from taking a form; "" if nothing does."""
    if isinstance(layer, CONVOLUTIONS):
        if layer.groups != 1:
            return f"its {layer.groups} groups are small matrices already"
        if form == "separable" and len(layer.kernel_size) != 2:
            return f"its kernel has {len(layer.kernel_size)} axes, and 2 are separated"
        return ""
    shape = getattr(getattr(layer, "weight", None), "shape", ())
    if len(shape) != 2 or not hasattr(layer, "bias"):
        return "it is no linear layer and no convolution"
    return "" if form == "matrix" else "it has no kernel"
