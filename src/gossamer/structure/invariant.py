"""Zero-invariant groups: weights of a unit that, once zero, can be cut out without changing what the network computes.

Chen et al., "Only train once", NeurIPS 2021: the rows of a layer that make a unit, its bias and the scale and shift of
the norms behind it. Where zeros in these do not silence the unit, as behind a sigmoid or a norm without a scale, the
weights that use it belong to the group too. Which of the two is found by trying: a copy of the network with other
numbers in all parameters and buffers, some of its units at zero, must compute what it computes without them. Units for
which neither holds, such as those that a norm averages over, are in no group.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.structure.axes import Axis
from gossamer.structure.follow import Conflict, removal
from gossamer.structure.groups import Group, groups
from gossamer.structure.plan import arguments, plan
from gossamer.structure.trace import Trace, trace
from gossamer.structure.twin import TOLERANCE, difference, outputs
from gossamer.structure.units import UnitWeights, making, whole


@dataclass(frozen=True, eq=False)
class ZeroInvariant:
    """A group, and the weights of its units that must be zero for a unit to be cut out."""

    group: Group
    weights: UnitWeights


class Invariants:
    """Finds the zero-invariant groups of a network.

    Args:
        model: Any network that can be traced; it is left as it is.
        example: What it is called with, as for `plan`.
        keep: Patterns of names of parameters or modules whose units all stay.

    Attributes:
        found: The groups, in the order of the network's parameters.
        refused: Groups whose units all stay, with the reason.

    Raises:
        ModelError: Nothing can be removed from the network; the reasons are named.
    """

    def __init__(self, model: nn.Module, example: Any, keep: tuple[str, ...] = ()) -> None:
        trial = plan(model, example, ratio=0.5, keep=keep)
        self.refused: dict[str, str] = dict(trial.refused)
        self.found: list[ZeroInvariant] = []
        self._args, self._kwargs = arguments(example)
        self._model = with_other_numbers(model)
        self._trace: Trace = trace(model, self._args, self._kwargs)
        names = {group.name for group in trial.groups}
        free = [group for group in groups(self._trace) if group.name in names]
        parameters = dict(model.named_parameters())
        pending = [ZeroInvariant(group, making(group, parameters)) for group in free]
        if self._hold(pending):
            self.found = pending
            return
        for group in free:
            for weights in (making(group, parameters), whole(group, parameters)):
                if weights.members and self._hold([ZeroInvariant(group, weights)]):
                    self.found.append(ZeroInvariant(group, weights))
                    break
            else:
                self.refused[group.name] = "zeros in the weights of its units do not silence them"

    def _hold(self, some: list[ZeroInvariant]) -> bool:
        """Says whether every second unit of these groups can be cut out once its weights are zero."""
        if not all(one.weights.members for one in some):
            return False
        zeroed = copy.deepcopy(self._model)
        parameters = {name: parameter.detach() for name, parameter in zeroed.named_parameters()}
        kept: dict[Axis, Tensor] = {}
        for one in some:
            gone = torch.arange(one.group.size) % 2 == 1
            one.weights.silence_(parameters, gone)
            kept[one.group.axis] = ~gone
        change = removal(self._trace, kept)
        if isinstance(change, Conflict):
            return False
        small = change.apply_(copy.deepcopy(zeroed))
        try:
            found = outputs(small, self._args, self._kwargs)
        except Exception:  # whatever the network's own code raises when sizes do not fit
            return False
        return difference(found, outputs(zeroed, self._args, self._kwargs)) <= TOLERANCE


def with_other_numbers(model: nn.Module) -> nn.Module:
    """Returns a copy without the zeros and ones of a fresh network, which would hide what depends on them."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    tensors: Mapping[str, Tensor] = dict([*other.named_parameters(), *other.named_buffers()])
    with torch.no_grad():
        for values in tensors.values():
            if values.is_floating_point():
                noise = torch.rand(values.shape, generator=generator).to(values)
                values.mul_(1.0 + 0.5 * noise).add_(0.1 * noise)
    return other
