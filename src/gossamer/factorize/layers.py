"""Which layers of a network can be factorised, why the others stay, and where their work is done."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gossamer.counting import evaluating
from gossamer.graph import CSR
from gossamer.nn.factorized import CONVOLUTIONS
from gossamer.nn.linear import Linear
from gossamer.prune.weights import PrunableWeight, prunable_weights


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer that can be factorised.

    Attributes:
        weight: Its weight; `weight.layer` is its name.
        module: The layer.
        places: Where it works in one call of the network on the example, as `Decomposition.macs` takes them.
    """

    weight: PrunableWeight
    module: nn.Module
    places: tuple[float, ...]

    @property
    def name(self) -> str:
        """Its dotted name."""
        return self.weight.layer

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its weight."""
        return tuple(self.weight.weight.shape)

    @property
    def pointwise(self) -> bool:
        """Whether it is a linear layer, or a convolution that looks at one place only and so is one."""
        return all(size == 1 for size in self.shape[2:])


def find_layers(
    model: nn.Module, example: tuple[Any, ...], layers: Sequence[str], exclude: Sequence[str]
) -> tuple[list[Layer], dict[str, tuple[int, str]]]:
    """Returns the layers that can be factorised, and of the other weights how many numbers they have and why they stay.

    Args:
        model: The network; run once on the example.
        example: Its positional arguments.
        layers: Patterns of parameter or module names.
        exclude: Patterns of those to leave alone.

    Raises:
        ModelError: As `prunable_weights`.
    """
    weights = prunable_weights(model, layers, exclude)
    modules = dict(model.named_modules())
    owners = Counter(id(p) for module in modules.values() for p in module.parameters(recurse=False))
    reasons = {weight.name: _obstacle(modules[weight.layer], weight, owners) for weight in weights}
    free = [weight for weight in weights if not reasons[weight.name]]
    places = _places(model, example, {weight.layer: modules[weight.layer] for weight in free})
    found = []
    for weight in free:
        if weight.layer in places:
            found.append(Layer(weight, modules[weight.layer], places[weight.layer]))
        else:
            reasons[weight.name] = "the module around it reads its weight and does not call it"
    stay = {weight.name: (weight.weight.numel(), reasons[weight.name]) for weight in weights if reasons[weight.name]}
    return found, stay


def _obstacle(module: nn.Module, weight: PrunableWeight, owners: Mapping[int, int]) -> str:
    """Says what keeps a layer from being replaced; "" if nothing does."""
    forwards: set[Any] = {nn.Linear.forward, Linear.forward, *(kind.forward for kind in CONVOLUTIONS)}
    pyg = sys.modules.get("torch_geometric.nn.dense.linear")  # a model that uses it has imported it
    if pyg is not None:
        forwards.add(pyg.Linear.forward)
    obstacles = (
        (isinstance(module, nn.MultiheadAttention), "attention's projections are no layers of their own"),
        (not weight.layer, "it is the whole network"),
        (type(module).forward not in forwards, f"a {weight.kind} computes something of its own"),
        (getattr(module, "groups", 1) != 1, "it has groups, which are small matrices already"),
        (parametrize.is_parametrized(module), "it is parametrised"),
        (bool(module._forward_hooks or module._forward_pre_hooks), "it has hooks, which would be lost"),
        (owners[id(weight.weight)] > 1, "it shares its weight with another module"),
    )
    return next((reason for there, reason in obstacles if there), "")


def _places(
    model: nn.Module, example: tuple[Any, ...], layers: Mapping[str, nn.Module]
) -> dict[str, tuple[float, ...]]:
    """Returns the places of each layer that is called, all calls together."""
    found: dict[str, tuple[float, ...]] = {}
    handles = []
    for name, layer in layers.items():

        def note(layer: nn.Module, args: tuple[Any, ...], out: Tensor, name: str = name) -> None:
            places = _of_call(layer, args[0] if args else None, out)
            found[name] = tuple(map(sum, zip(found[name], places, strict=True))) if name in found else places

        handles.append(layer.register_forward_hook(note))
    try:
        with evaluating(model), torch.no_grad():
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _of_call(layer: nn.Module, x: Any, out: Tensor) -> tuple[float, ...]:
    if not isinstance(layer, CONVOLUTIONS):
        rows = out.numel() / out.shape[-1]
        return (rows * x.nnz / max(1, x.shape[0] * x.shape[1]) if isinstance(x, CSR) else rows), rows
    axes = len(layer.kernel_size)
    sizes = x.shape[-axes:] if isinstance(x, Tensor) else out.shape[-axes:]
    images = out.numel() / out.shape[-axes - 1 :].numel()
    places = [images * sizes.numel()]
    for axis in range(axes):
        places.append(places[-1] * out.shape[-axes + axis] / sizes[axis])
    return tuple(places)
