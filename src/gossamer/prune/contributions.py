r"""What a unit contributes to a network in training: at least 0, higher = keep.

| contribution | of unit j | source |
|---|---|---|
| `SoftGate` | \|g_j\|, a gate that multiplies the unit and trains with the network | after Valerio et al., 2022 |
| `WeightProduct` | \|\|v_j\|\| · \|\|o_j\|\|, the weights that make the unit and those that use it | the same |
| `Activity` | E\|a_j\| · \|\|o_j\|\|, what the unit holds and the weights that use it | the same |

Layers are made comparable by dividing by the largest contribution in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gossamer.counting import evaluating
from gossamer.settings import Settings, bounded
from gossamer.structure import Group
from gossamer.structure.units import making, using
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Contribution(Settings):
    """A family: what the units of a layer contribute."""

    watches: ClassVar[bool] = False  # whether it needs what the units hold

    def of(
        self, group: Group, parameters: Mapping[str, Tensor], gate: Tensor | None, activity: Tensor | None
    ) -> Tensor:
        """Returns one number a unit, (units,).

        Args:
            group: The units.
            parameters: The network's, by their first names.
            gate: (units,), where units have gates.
            activity: (units,) mean absolute value of what each holds; None where it was not asked for or is not seen.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define of()")


@dataclass(frozen=True, kw_only=True)
class SoftGate(Contribution):
    """The size of a trained gate, which begins at 1 and is pressed towards 0 by an L1 penalty."""

    name = "soft-gate"
    penalty: float = bounded(1e-3, ge=0.0)  # λ of λ·|g|
    learning_rate: float = bounded(0.01, gt=0.0)  # of the gates, which Adam moves

    def of(
        self, group: Group, parameters: Mapping[str, Tensor], gate: Tensor | None, activity: Tensor | None
    ) -> Tensor:
        """Returns the gates."""
        del parameters, activity
        return torch.ones(group.size) if gate is None else gate.detach().abs()


@dataclass(frozen=True, kw_only=True)
class WeightProduct(Contribution):
    """The norm of the weights that make a unit times that of those that use it."""

    name = "weight-product"

    def of(
        self, group: Group, parameters: Mapping[str, Tensor], gate: Tensor | None, activity: Tensor | None
    ) -> Tensor:
        """Returns the products; where no product uses the unit, the norms of what makes it."""
        del gate, activity
        values = {name: parameter.detach() for name, parameter in parameters.items()}
        made, used = making(group, parameters), using(group, parameters)
        norms = [weights.norms(values) for weights in (made, used) if weights.members]
        return norms[0] if len(norms) == 1 else norms[0] * norms[1]


@dataclass(frozen=True, kw_only=True)
class Activity(Contribution):
    """The mean absolute value that a unit holds times the norm of the weights that use it."""

    name = "activity"
    watches = True

    def of(
        self, group: Group, parameters: Mapping[str, Tensor], gate: Tensor | None, activity: Tensor | None
    ) -> Tensor:
        """Returns the products; the norms alone where what the unit holds is not seen."""
        if activity is None:
            return WeightProduct().of(group, parameters, gate, None)
        used = using(group, parameters)
        return activity * used.norms({name: parameter.detach() for name, parameter in parameters.items()})


@torch.no_grad()
def activities(model: nn.Module, task: Task, groups: Sequence[Group], batches: int) -> dict[str, Tensor]:
    """Returns the mean absolute value of what units hold on some training batches, (units,) by the group's name.

    It is seen at the inputs of linear layers and convolutions, which use it; groups that none uses are left out.
    """
    modules = dict(model.named_modules())
    users: dict[str, list[tuple[Group, Tensor]]] = {}  # by layer
    for group in groups:
        for member in group.members:
            layer, _, kind = member.tensor.rpartition(".")
            module = modules.get(layer)
            seen = isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and getattr(module, "groups", 1) == 1
            if member.uses and kind == "weight" and seen:
                users.setdefault(layer, []).append((group, member.units))
    sums = {group.name: torch.zeros(group.size) for some in users.values() for group, _ in some}
    counts = dict.fromkeys(sums, 0)
    handles = []
    for layer, some in users.items():

        def note(module: nn.Module, args: tuple[Any, ...], some: list[tuple[Group, Tensor]] = some) -> None:
            x = args[0]
            channels = x.dim() - 1 if isinstance(module, nn.Linear) else 1
            means = x.abs().mean([dim for dim in range(x.dim()) if dim != channels]).float().cpu()
            for group, units in some:
                within = units >= 0
                share = torch.bincount(units[within], minlength=group.size).clamp_min(1)
                sums[group.name] += torch.zeros(group.size).index_add_(0, units[within], means[within]) / share
                counts[group.name] += 1

        handles.append(modules[layer].register_forward_pre_hook(note))
    try:
        with evaluating(model):
            for batch in itertools.islice(task.batches("train"), batches):
                task.loss(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: total / counts[name] for name, total in sums.items() if counts[name]}
