"""Which parameters of a network can be pruned.

They are the weights of linear and convolution layers and the projections of attention. Biases and
normalisation have few numbers and are never chosen. A parameter that several layers share is found once.
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from gossamer.counting import evaluating
from gossamer.errors import ModelError

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True, eq=False)
class PrunableWeight:
    """A parameter that can be pruned, seen as a matrix with one row an output.

    Attributes:
        name: The parameter's name in the model, `convs.0.lin.weight`.
        layer: Name of the module that owns it.
        kind: Class name of that module.
        weight: (R, ...); as a matrix (R, C), so (C_out, C_in·kh·kw) for a convolution.
        bias_name: Name of the bias with one number a row; "" where there is none. A graph convolution whose only
            prunable weight is this one lends its own bias to a layer that has none.
        bias: That bias, (R,), or None.
    """

    name: str
    layer: str
    kind: str
    weight: nn.Parameter
    bias_name: str = ""
    bias: nn.Parameter | None = None

    @property
    def rows(self) -> int:
        """R: number of outputs."""
        return self.weight.shape[0]

    @property
    def columns(self) -> int:
        """C: number of weights an output has."""
        return self.weight.numel() // self.rows

    def matrix(self, values: Tensor) -> Tensor:
        """Returns values in the shape of the weight as (R, C)."""
        return values.reshape(self.rows, self.columns)


def prunable_weights(
    model: nn.Module, layers: Sequence[str] = ("*",), exclude: Sequence[str] = ()
) -> tuple[PrunableWeight, ...]:
    """Returns the prunable weights of a model, in the order of its modules.

    Args:
        model: Any module.
        layers: Patterns, one of which must match the parameter's or its module's name, as in a shell.
        exclude: Patterns of which none may match.

    Raises:
        ModelError: No weight is left, a pattern of `layers` matches nothing, or a layer is lazy.
    """
    everything = tuple(_weights(model))
    if not everything:
        raise ModelError(f"{type(model).__name__} has no prunable weight; expected Linear, Conv or MultiheadAttention")
    names = ", ".join(weight.name for weight in everything)
    for pattern in layers:
        if not any(_matches(weight, pattern) for weight in everything):
            raise ModelError(f"no prunable weight matches layers pattern {pattern!r}; this model has: {names}")
    chosen = tuple(
        weight
        for weight in everything
        if any(_matches(weight, pattern) for pattern in layers)
        and not any(_matches(weight, pattern) for pattern in exclude)
    )
    if not chosen:
        raise ModelError(f"layers and exclude leave no weight to prune; this model has: {names}")
    for weight in chosen:
        if isinstance(weight.weight, UninitializedParameter):
            raise ModelError(f"{weight.name} has no shape yet; run the model once on an example before pruning it")
    return chosen


def last_called(model: nn.Module, example: tuple[Any, ...], weights: Sequence[PrunableWeight]) -> str:
    """Returns the name of the module, among those that own `weights`, that one prediction calls last."""
    called = ""
    modules = dict(model.named_modules())

    def remember(layer: str) -> None:
        nonlocal called
        called = layer

    hooks = [
        modules[layer].register_forward_hook(lambda *_, layer=layer: remember(layer))
        for layer in {weight.layer for weight in weights}
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(*example)
    finally:
        for hook in hooks:
            hook.remove()
    return called


def _weights(model: nn.Module) -> Iterator[PrunableWeight]:
    """Yields every prunable weight once, under the first name it has."""
    seen: set[int] = set()
    kinds = _LAYERS + _pyg_linear()
    modules = dict(model.named_modules())
    for layer, module in modules.items():
        if isinstance(module, kinds):
            found = [("weight", "bias")]
        elif isinstance(module, nn.MultiheadAttention):
            found = [(name, "in_proj_bias" if name == "in_proj_weight" else "") for name in _ATTENTION]
        else:
            continue
        own = dict(module.named_parameters(recurse=False))
        for name, bias in found:
            weight = own.get(name)
            if weight is None or id(weight) in seen or (_shaped(weight) and weight.numel() == 0):
                continue
            seen.add(id(weight))
            prefix = f"{layer}." if layer else ""
            home, offset = (prefix + bias, own[bias]) if bias in own else _borrowed_bias(modules, layer, weight, kinds)
            yield PrunableWeight(
                name=prefix + name,
                layer=layer,
                kind=type(module).__name__,
                weight=weight,
                bias_name=home,
                bias=offset,
            )


def _borrowed_bias(
    modules: dict[str, nn.Module], layer: str, weight: nn.Parameter, kinds: tuple[type[nn.Module], ...]
) -> tuple[str, nn.Parameter | None]:
    """Returns the bias of the module around a layer, if this layer alone feeds it and has as many outputs."""
    around = layer.rpartition(".")[0]
    bias = dict(modules[around].named_parameters(recurse=False)).get("bias")
    alone = sum(isinstance(child, kinds) for child in modules[around].modules()) == 1
    if bias is None or not alone or not _shaped(weight) or bias.shape != weight.shape[:1]:
        return "", None
    return (f"{around}.bias" if around else "bias"), bias


def _shaped(weight: nn.Parameter) -> bool:
    return not isinstance(weight, UninitializedParameter)


def _pyg_linear() -> tuple[type[nn.Module], ...]:
    """Returns PyG's own linear layer if PyG is loaded: a model that holds one has loaded it."""
    module = sys.modules.get("torch_geometric.nn.dense.linear")
    return () if module is None else (module.Linear,)


def _matches(weight: PrunableWeight, pattern: str) -> bool:
    return fnmatch.fnmatchcase(weight.name, pattern) or fnmatch.fnmatchcase(weight.layer, pattern)
