"""Typed records of what was done to a network's structure, so that it can be done again to its class.

A change is Settings: it goes to JSON and back by its name. Later kinds join the family by subclassing
`Change`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn import compact
from gossamer.nn.erased import Erased
from gossamer.nn.factorized import Factorized
from gossamer.nn.packed import MATRICES, Packed
from gossamer.nn.pooling import MaximaPool2d
from gossamer.nn.pyg import Adopted, adopt
from gossamer.nn.sharing import Form, Shared, shared_like
from gossamer.nn.sparse import Sparse, SparseConv2d, SparseLinear
from gossamer.settings import Settings, bounded
from gossamer.structure.edits import Edit, edit_, replace_module, submodule
from gossamer.structure.plan import REMOVALS, remove_
from gossamer.structure.removal import Removal

LINEAR: dict[str, Callable[[nn.Module], Packed]] = {
    **{kernel: partial(SparseLinear.from_dense, kernel=kernel) for kernel in MATRICES},
    compact.KERNEL: compact.CompactLinear.from_dense,
}
CONV2D: dict[str, Callable[[nn.Module], Packed]] = {
    **{kernel: partial(SparseConv2d.from_dense, kernel=kernel) for kernel in MATRICES},
    compact.KERNEL: compact.CompactConv2d.from_dense,
}


@dataclass(frozen=True, kw_only=True)
class Change(Settings):
    """One change of a network's structure."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place and returns the model, a new one if the model itself is what changes.

        Raises:
            ModelError: The model has no such layer, or the layer does not allow the change.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define apply()")


@dataclass(frozen=True, kw_only=True)
class SwapLayer(Change):
    """Replaces a dense layer by the packed one of a kernel, wherever the model refers to it."""

    name = "swap-layer"
    layer: str  # dotted name; "" is the model itself
    kernel: str  # csr, blocks or compact

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        dense = submodule(model, self.layer)
        return replace_module(model, dense, packed(dense, self.kernel))


@dataclass(frozen=True, kw_only=True)
class FactorizeLayer(Change):
    """Replaces a linear layer or convolution by a chain of smaller ones, whose weights are zero until they are set."""

    name = "factorize-layer"
    layer: str  # dotted name; "" is the model itself
    form: str  # of `nn.factorized.FORMS`
    ranks: tuple[int, ...] = bounded(ge=1)

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        old = submodule(model, self.layer)
        return replace_module(model, old, Factorized.like(old, self.form, self.ranks))


@dataclass(frozen=True, kw_only=True)
class SwapGraphLayer(Change):
    """Replaces a graph layer of PyTorch Geometric by the one of this library that shares its parameters."""

    name = "swap-graph-layer"
    layer: str  # dotted name; "" is the model itself

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        old = submodule(model, self.layer)
        return replace_module(model, old, adopt(old))


@dataclass(frozen=True, kw_only=True)
class SwapPool(Change):
    """Replaces a 2×2 max pooling layer by the one of this library that computes the same."""

    name = "swap-pool"
    layer: str  # dotted name; "" is the model itself

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        old = submodule(model, self.layer)
        return replace_module(model, old, MaximaPool2d.from_dense(old))


@dataclass(frozen=True, kw_only=True)
class ShareWeights(Change):
    """Replaces a linear layer or convolution by one whose weights follow from fewer numbers; those are left zero."""

    name = "share-weights"
    layer: str  # dotted name; "" is the model itself
    form: Form

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        old = submodule(model, self.layer)
        return replace_module(model, old, shared_like(old, self.form))


@dataclass(frozen=True, kw_only=True)
class FoldNorm(Change):
    """Folds a batch normalisation into the linear layer or convolution before it, for prediction.

    With s = γ / √(σ² + ε): weight · s and (bias - μ) · s + β, an output channel each. In the normalisation's place
    stands a `Folded`, which passes on what it gets.
    """

    name = "fold-norm"
    layer: str  # dotted name of the layer before
    norm: str  # dotted name of the normalisation

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        layer, norm = submodule(model, self.layer), submodule(model, self.norm)
        if not foldable(layer, norm):
            raise ModelError(
                f"{self.norm} ({type(norm).__name__}) cannot be folded into {self.layer} ({type(layer).__name__}); "
                "expected a batch normalisation with running statistics after a Linear or Conv2d of as many outputs"
            )
        layer, norm = cast("nn.Conv2d", layer), cast("nn.BatchNorm2d", norm)
        scale, shift = _scale_and_shift(norm)
        weight = layer.weight.detach()
        bias = 0.0 if layer.bias is None else layer.bias.detach().double()
        scaled = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
        layer.weight = nn.Parameter(scaled.to(weight.dtype), requires_grad=layer.weight.requires_grad)
        layer.bias = nn.Parameter((bias * scale + shift).to(weight.dtype), requires_grad=layer.weight.requires_grad)
        return replace_module(model, norm, Folded(self.layer))


@dataclass(frozen=True, kw_only=True)
class RemoveUnits(Change):
    """Removes channels, heads and other units: tensors are cut, and attributes that repeat a size follow."""

    name = "remove-units"
    layer: str  # dotted name of the network that was pruned; "" is the model itself
    removal: Removal

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        remove_(submodule(model, self.layer), self.removal)
        return model


@dataclass(frozen=True, kw_only=True)
class EraseModule(Change):
    """Erases an operator that is a branch, or part of one: what stands in its place adds nothing to the joint."""

    name = "erase-module"
    layer: str  # dotted name
    joint: Literal["add", "cat"]  # what the branch ends in
    returns: int = bounded(0, ge=0)  # tensors that it returned in a tuple; 0 for a tensor

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        old = submodule(model, self.layer)
        return replace_module(model, old, Erased(old, self.joint, self.returns))


@dataclass(frozen=True, kw_only=True)
class EditModules(Change):
    """Leaves a module out, or merges two layers into one."""

    name = "edit-modules"
    layer: str  # dotted name of the network that was edited; "" is the model itself
    edit: Edit

    def apply(self, model: nn.Module) -> nn.Module:
        """Makes the change in place; see `Change.apply`."""
        network = submodule(model, self.layer)
        return replace_module(model, network, edit_(network, [self.edit]))


class Folded(nn.Identity):
    """Where a batch normalisation stood that is folded into a layer; `layer` is that layer's dotted name."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def extra_repr(self) -> str:
        """Names the layer."""
        return f"into {self.layer}"


def foldable(layer: nn.Module, norm: nn.Module) -> bool:
    """Says whether a batch normalisation is of a kind that can be folded into a layer, were it right before it."""
    return (
        isinstance(layer, nn.Linear | nn.Conv2d)
        and isinstance(norm, nn.BatchNorm1d if isinstance(layer, nn.Linear) else nn.BatchNorm2d)
        and layer.weight.is_floating_point()
        and norm.running_mean is not None
        and norm.running_var is not None
        and len(layer.weight) == norm.num_features
    )


def _scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Returns s and β - μ s, float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        gamma, beta = norm.weight.detach().double(), norm.bias.detach().double()
        return scale * gamma, shift * gamma + beta
    return scale, shift


def apply(changes: Sequence[Change], model: nn.Module) -> nn.Module:
    """Makes all changes, in order, in place, and returns the model."""
    for change in changes:
        model = change.apply(model)
    return model


def found(model: nn.Module) -> tuple[Change, ...]:
    """Returns the changes that would lead from the untouched model to `model`, by the layers in it."""
    removed: list[Change] = []
    replaced: list[Change] = []
    folded: list[Change] = []
    swaps: list[Change] = []
    for name, module in model.named_modules():
        for record in getattr(module, REMOVALS, ()):  # in the order in which they were made
            edited = isinstance(record, Edit)
            removed.append(EditModules(layer=name, edit=record) if edited else RemoveUnits(layer=name, removal=record))
        if isinstance(module, Factorized) and module.form:
            replaced.append(FactorizeLayer(layer=name, form=module.form, ranks=module.ranks))
        elif isinstance(module, Shared):
            replaced.append(ShareWeights(layer=name, form=module.form))
        elif isinstance(module, Erased):
            replaced.append(EraseModule(layer=name, joint=module.joint, returns=module.returns))
        elif isinstance(module, Folded):
            folded.append(FoldNorm(layer=module.layer, norm=name))
        elif isinstance(module, MaximaPool2d):
            swaps.append(SwapPool(layer=name))
        elif isinstance(module, Packed):
            swaps.append(SwapLayer(layer=name, kernel=module.kernel))
        elif isinstance(module, Adopted):
            swaps.append(SwapGraphLayer(layer=name))
    return (*removed, *replaced, *folded, *swaps)


def predicting(model: nn.Module) -> nn.Module:
    """Returns a model whose sparse layers are those for prediction, with dense weights in the state dict.

    It is `model` itself unless a layer is in training; then it is a copy.
    """
    if not any(isinstance(module, Sparse) and module.trains for module in model.modules()):
        return model
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, Sparse):
            module.train_weights(False)
    return model


def packed(dense: nn.Module, kernel: str) -> Packed:
    """Returns a packed copy of a dense linear layer or convolution.

    Raises:
        ModelError: The kernel is unknown, or does not serve this layer.
    """
    kinds = CONV2D if isinstance(dense, nn.Conv2d) else LINEAR
    if kernel not in kinds:
        raise ModelError(f"kernel {kernel!r} does not serve {type(dense).__name__}; known: {', '.join(sorted(kinds))}")
    return kinds[kernel](dense)
