"""The mask engine: keeps removed weights at zero while any optimiser trains the others.

Masks are kept on the parameters themselves: gradients are zeroed before the step, weights and the optimiser's
state after it. So any optimiser and any module work, the dense gradient that growing needs is there, and the
state dict stays plain. Mask tensors are replaced, never written into: one that was handed out stays what it
was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.errors import ModelError, SettingError
from gossamer.prune.allocation import Allocation, Uniform
from gossamer.prune.granularity import Granularity
from gossamer.prune.selection import GONE, Groups, select
from gossamer.prune.weights import PrunableWeight, last_called, prunable_weights
from gossamer.tasks.task import Task


class Masks:
    """Masks on some of a network's prunable weights, and on biases where whole outputs are removed.

    Attributes:
        weights: The prunable weights.
        keep: Parameter name to mask, bool in the parameter's shape, True = keep; no entry = nothing removed.
    """

    def __init__(self, weights: Sequence[PrunableWeight]) -> None:
        self.weights = tuple(weights)
        self.keep: dict[str, Tensor] = {}
        self._removed: dict[str, Tensor] = {}
        self._nonzeros = {weight.name: weight.weight.numel() for weight in weights}
        self._parameters: dict[str, nn.Parameter] = {}
        for weight in weights:
            self._parameters[weight.name] = weight.weight
            if weight.bias is not None:
                self._parameters[weight.bias_name] = weight.bias

    def of(self, weight: PrunableWeight) -> Tensor:
        """Returns the mask of a weight as a matrix (R, C)."""
        keep = self.keep.get(weight.name)
        if keep is None:
            return torch.ones(weight.rows, weight.columns, dtype=torch.bool, device=weight.weight.device)
        return weight.matrix(keep.to(weight.weight.device))

    def clear(self) -> None:
        """Forgets all masks; weights stay as they are."""
        self.keep.clear()
        self._removed.clear()
        self._nonzeros = {name: parameter.numel() for name, parameter in self._parameters.items()}

    def replace(self, masks: Mapping[str, Tensor]) -> None:
        """Sets the masks of the parameters named; matrices (R, C) are given the parameter's shape."""
        for name, mask in masks.items():
            parameter = self._parameters[name]
            self.keep[name] = mask.reshape(parameter.shape).to(parameter.device).contiguous()
            self._removed[name] = ~self.keep[name]
            self._nonzeros[name] = int(self.keep[name].count_nonzero())

    @torch.no_grad()
    def apply_to_weights(self) -> None:
        """Sets removed weights to +0.0."""
        for name, removed in self._on_device():
            self._parameters[name].masked_fill_(removed, 0.0)

    @torch.no_grad()
    def apply_to_gradients(self) -> None:
        """Sets the gradients of removed weights to zero."""
        for name, removed in self._on_device():
            gradient = self._parameters[name].grad
            if gradient is not None:
                gradient.masked_fill_(removed, 0.0)

    @torch.no_grad()
    def apply_to_state(self, optimizer: Optimizer | None) -> None:
        """Zeroes, outside the masks, every tensor of the optimiser's state in a parameter's shape."""
        if optimizer is None:
            return
        for name, removed in self._on_device():
            parameter = self._parameters[name]
            for value in optimizer.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value.masked_fill_(removed, 0.0)

    def density(self, weight: PrunableWeight) -> float:
        """Returns the fraction of a weight that is kept, in (0, 1]."""
        return self._nonzeros[weight.name] / weight.weight.numel()

    def nonzeros(self) -> dict[str, int]:
        """Returns how many weights the masks keep, by the name of the prunable weight."""
        return {weight.name: self._nonzeros[weight.name] for weight in self.weights}

    def report(self) -> list[dict[str, Any]]:
        """Returns a record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return [
            {
                "name": weight.name,
                "kind": weight.kind,
                "shape": list(weight.weight.shape),
                "parameters": weight.weight.numel(),
                "nonzeros": self._nonzeros[weight.name],
                "sparsity": 1.0 - self.density(weight),
            }
            for weight in self.weights
        ]

    def _on_device(self) -> list[tuple[str, Tensor]]:
        """Returns name and inverted mask; masks follow parameters that were moved to another device."""
        for name, removed in self._removed.items():
            device = self._parameters[name].device
            if removed.device != device:
                self._removed[name], self.keep[name] = removed.to(device), self.keep[name].to(device)
        return list(self._removed.items())


def require_fit(
    name: str, granularity: Granularity, allocation: Allocation, sparsity: float, *, scans: bool = False
) -> None:
    """Refuses choices of the method `name`, which may let allocations scan, that do not fit, with a SettingError."""
    granularity.check(sparsity)
    if not scans:
        allocation.require_no_scan(name)
    if granularity.sets_density and not isinstance(allocation, Uniform):
        raise SettingError(
            f"{name}: granularity {granularity.name!r} sets every layer's density itself, so "
            f"allocation {allocation.name!r} has no say; use 'uniform'"
        )


def weights_for(
    granularity: Granularity, model: nn.Module, task: Task, layers: Sequence[str], exclude: Sequence[str]
) -> tuple[PrunableWeight, ...]:
    """Returns the prunable weights that a granularity suits, less the network's answers where whole outputs go.

    Raises:
        ModelError: There is none, or a pattern of `layers` matches none; as `prunable_weights`.
    """
    weights = prunable_weights(model, layers, exclude)
    if granularity.removes_outputs:
        output = last_called(model, task.example(), weights)
        weights = prunable_weights(model, layers, (*exclude, output))
    suited = tuple(weight for weight in weights if granularity.suits(tuple(weight.weight.shape)))
    if not suited:
        found = ", ".join(f"{weight.name} {tuple(weight.weight.shape)}" for weight in weights)
        raise ModelError(f"granularity {granularity.name!r} suits no weight of this model; it has: {found}")
    return suited


def choose(
    masks: Masks,
    scores: Mapping[str, Tensor],
    *,
    granularity: Granularity,
    allocation: Allocation,
    sparsity: float,
) -> dict[str, Tensor]:
    """Returns masks that have a sparsity and remove the lowest scores; what is removed already stays so.

    Args:
        masks: The masks now.
        scores: Parameter name to scores in the shape of the weight; one for each of `masks.weights`.
        granularity: What is removed together.
        allocation: How much is kept where.
        sparsity: Of all prunable weights together, in [0, 1).

    Returns:
        Parameter name to mask: all prunable weights as (R, C), and their biases (R,) where whole outputs go.

    Raises:
        TrainingError: A score is not a number.
    """
    layers = []
    for weight in masks.weights:
        pieces = granularity.of(tuple(weight.weight.shape))
        score = pieces.pool(weight.matrix(scores[weight.name]))
        score = score.masked_fill(~pieces.active(masks.of(weight)), GONE)
        sizes = pieces.sizes(weight.rows, weight.columns).to(score.device)
        layers.append(Groups(weight.name, tuple(weight.weight.shape), score, sizes))
    if granularity.sets_density:
        budgets = [granularity.budget(weight.rows, weight.columns, sparsity) for weight in masks.weights]
    else:
        budgets = allocation.budgets(layers, sparsity)
    chosen: dict[str, Tensor] = {}
    for weight, groups, budget in zip(masks.weights, layers, budgets, strict=True):
        kept = select(groups, budget)
        pieces = granularity.of(tuple(weight.weight.shape))
        chosen[weight.name] = pieces.expand(kept, weight.rows, weight.columns)
        if granularity.removes_outputs and weight.bias is not None:
            chosen[weight.bias_name] = kept
    return chosen
