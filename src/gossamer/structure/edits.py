"""Edits of a network's depth: a module that is left out, two linear operators that become one.

An edit is names and numbers only, so it goes to JSON and back and can be made again on an untouched instance of
the same class. A network notes the edits made to it, in one list with the units removed from it, so that a file can
say in which order they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError, nearest
from gossamer.settings import Settings, bounded
from gossamer.structure.plan import REMOVALS

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, kw_only=True)
class Edit(Settings):
    """A family: one edit of a network's modules."""

    def apply_(self, model: nn.Module) -> nn.Module:
        """Makes the edit in place and returns the model.

        Raises:
            ModelError: The model has no such module, or it does not allow the edit.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define apply_()")


class LeftOut(nn.Module):
    """Stands where a module was left out, and returns its first tensor, or zeros that add nothing.

    Args:
        leaves: "input" or "zero".
        items: 0 for a tensor; n for a tuple of n, of which the others are None.
        rank: Dimensions of the zeros, all of size 1.
        width: Where not 0, zeros are as the input but for the last dimension, which has this size.
    """

    batch_first = False  # PyTorch's encoder layers ask their attention before they take their fused path

    def __init__(self, leaves: Literal["input", "zero"], *, items: int = 0, rank: int = 0, width: int = 0) -> None:
        super().__init__()
        self.leaves = leaves
        self.items = items
        self.rank = rank
        self.width = width

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Takes whatever the module took."""
        x = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        out = x if self.leaves == "input" else x.new_zeros((1,) * self.rank)
        if self.width:
            out = x.new_zeros(()).expand(*x.shape[:-1], self.width)
        return (out, *[None] * (self.items - 1)) if self.items else out

    def extra_repr(self) -> str:
        """Says what it returns."""
        return self.leaves


class Merged(nn.Identity):
    """Where a linear operator stood that is merged into the one before it; `layer` is that one's dotted name."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def extra_repr(self) -> str:
        """Names the layer."""
        return f"into {self.layer}"


@dataclass(frozen=True, kw_only=True)
class LeaveOut(Edit):
    """Leaves a module out: in its place stands a `LeftOut`."""

    name = "leave-out"
    layer: str  # dotted name
    leaves: Literal["input", "zero"] = "input"
    items: int = bounded(0, ge=0)  # these three as of `LeftOut`
    rank: int = bounded(0, ge=0)
    width: int = bounded(0, ge=0)

    def apply_(self, model: nn.Module) -> nn.Module:
        """Makes the edit in place; see `Edit.apply_`."""
        old = submodule(model, self.layer)
        for parent in model.modules():
            if isinstance(parent, nn.TransformerEncoderLayer) and any(child is old for child in parent.children()):
                parent.activation_relu_or_gelu = 0  # its fused path reads the weights of its children
        return replace_module(model, old, LeftOut(self.leaves, items=self.items, rank=self.rank, width=self.width))


@dataclass(frozen=True, kw_only=True)
class MergeLayers(Edit):
    """Merges a linear operator into the one before it, which is then the product of both.

    Linear layers, or convolutions of which one is 1×1: W[o, i] = Σ_m W₂[o, m] W₁[m, i], for every tap of the other's
    kernel, and b = W₂ b₁ + b₂.
    """

    name = "merge-layers"
    first: str  # dotted names
    second: str

    def apply_(self, model: nn.Module) -> nn.Module:
        """Makes the edit in place; see `Edit.apply_`."""
        first, second = submodule(model, self.first), submodule(model, self.second)
        reason = not_mergeable(first, second)
        if reason:
            raise ModelError(f"{self.second} cannot be merged into {self.first}: {reason}")
        model = replace_module(model, first, merged(first, second))
        return replace_module(model, second, Merged(self.first))


def not_mergeable(first: nn.Module, second: nn.Module) -> str:
    """Returns why two modules, the second of which reads the first alone, cannot be one layer; "" where they can."""
    linear = type(first) is nn.Linear and type(second) is nn.Linear
    if not linear and not (type(first) in _CONVOLUTIONS and type(second) is type(first)):
        return f"{type(first).__name__} and {type(second).__name__} are not two linear layers or two convolutions"
    one: Any = first
    two: Any = second
    if (one.out_features != two.in_features) if linear else (one.out_channels != two.in_channels):
        return "their sizes do not fit"
    if linear or (one.groups == 1 and two.groups == 1 and _pointwise(two)):
        return ""
    if one.groups != 1 or two.groups != 1 or not _pointwise(one):
        return "a convolution has groups, or neither has a kernel of one place"
    padded = two.padding not in {"valid", (0,) * len(two.kernel_size)}
    return "the bias of the first does not reach the padding of the second" if padded and one.bias is not None else ""


@torch.no_grad()
def merged(first: Any, second: Any) -> nn.Module:
    """Returns one layer that computes what two do, the second of which reads the first; see `not_mergeable`."""
    one, two = first.weight.double(), second.weight.double()
    biased = first.bias is not None or second.bias is not None
    options = {"bias": biased, "device": first.weight.device, "dtype": first.weight.dtype}
    bias = second.weight.new_zeros(len(two), dtype=torch.float64) if second.bias is None else second.bias.double()
    if isinstance(first, nn.Linear):
        layer: Any = nn.Linear(first.in_features, second.out_features, **options)
        weight = two @ one
        bias = bias if first.bias is None else bias + two @ first.bias.double()
    else:
        kernel = first if _pointwise(second) else second
        layer = type(first)(
            first.in_channels,
            second.out_channels,
            kernel.kernel_size,
            stride=kernel.stride,
            padding=kernel.padding,
            dilation=kernel.dilation,
            padding_mode=kernel.padding_mode,
            **options,
        )
        if kernel is first:
            weight = torch.einsum("om,mi...->oi...", two.flatten(1), one)
        else:
            weight = torch.einsum("om...,mi->oi...", two, one.flatten(1))
        if first.bias is not None:
            bias = bias + torch.einsum("omk,m->o", two.flatten(2), first.bias.double())
    layer.weight.copy_(weight)
    if biased:
        layer.bias.copy_(bias)
    return layer.train(first.training)  # type: ignore[no-any-return]


def _pointwise(layer: Any) -> bool:
    """Says whether a convolution looks at one place and leaves places as they are."""
    size = layer.kernel_size
    plain = layer.stride == (1,) * len(size) and layer.padding in {"valid", "same", (0,) * len(size)}
    return size == (1,) * len(size) and plain


def edit_(model: nn.Module, edits: Sequence[Edit]) -> nn.Module:
    """Makes edits in place, in order, and notes in the network that they were made; returns the network."""
    for edit in edits:
        model = edit.apply_(model)
        setattr(model, REMOVALS, (*getattr(model, REMOVALS, ()), edit))
    return model


def submodule(model: nn.Module, name: str) -> nn.Module:
    """Returns the module of this dotted name; raises ModelError, with the nearest names, if there is none."""
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if name not in modules:
        close = nearest(name, modules)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ModelError(f"the model ({type(model).__name__}) has no layer {name!r}{hint}")
    return modules[name]


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Puts `new` wherever `old` is in `model`, and returns the model, or `new` if the model is `old`."""
    if model is old:
        return new
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
    return model
