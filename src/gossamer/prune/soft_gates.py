"""A trained gate on each unit of a network, without a gate in the network.

A unit multiplied by g is a unit whose weights that use it are multiplied by g. The network computes with these
products; around the optimiser's step they are taken apart, so that the optimiser moves the weights w and another one
the gates:

    network computes with g·w,    ∂L/∂w = g · ∂L/∂(gw),    ∂L/∂g = Σ w · ∂L/∂(gw)

The gates so need no memory but their own, are folded in at any time, and never go below a thousandth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.structure import Group, UnitWeights
from gossamer.structure.units import using
from gossamer.train import Adam

_LEAST = 1e-3


class SoftGates:
    """The gates of a network in training, 1 at the start.

    Args:
        penalty: λ of the L1 penalty λ·Σ|g|.
        learning_rate: Of the gates, which Adam moves.
        groups: Whose units have gates; a group that no product uses has none.
        parameters: The network's, by their first names.
    """

    def __init__(
        self, penalty: float, learning_rate: float, groups: Sequence[Group], parameters: Mapping[str, nn.Parameter]
    ) -> None:
        self._penalty = penalty
        self._parameters = parameters
        self.gates: dict[str, nn.Parameter] = {}
        self._weights: dict[str, UnitWeights] = {}
        for group in groups:
            weights = using(group, parameters)
            if weights.members:
                like = parameters[weights.members[0].tensor]
                self.gates[group.name] = nn.Parameter(torch.ones(group.size, dtype=like.dtype, device=like.device))
        self._optimizer = Adam(learning_rate=learning_rate, weight_decay=0.0).build(self.gates.values())
        self.follow(groups)

    def follow(self, groups: Sequence[Group]) -> None:
        """Takes the groups of the network as it is now."""
        self._weights = {group.name: using(group, self._parameters) for group in groups if group.name in self.gates}

    @torch.no_grad()
    def open(self) -> None:
        """Before the optimiser's step: the network's weights and gradients become those without gates."""
        values = {name: parameter.detach() for name, parameter in self._parameters.items()}
        gradients = {
            name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in self._parameters.items()
        }
        for name, weights in self._weights.items():
            gate: Tensor = self.gates[name]
            gate.grad = weights.products(values, gradients) / gate + self._penalty
        for name, weights in self._weights.items():
            gate = self.gates[name].detach()
            weights.scale_(values, 1.0 / gate)
            weights.scale_(gradients, gate)

    @torch.no_grad()
    def close(self) -> None:
        """After it: the gates take their step, and the network computes with the products again."""
        self._optimizer.step()
        values = {name: parameter.detach() for name, parameter in self._parameters.items()}
        for name, weights in self._weights.items():
            self.gates[name].clamp_min_(_LEAST)
            weights.scale_(values, self.gates[name].detach())

    @torch.no_grad()
    def keep(self, masks: Mapping[str, Tensor]) -> None:
        """Removes the gates of units that go, and what the optimiser remembers of them; all others stay."""
        for name, mask in masks.items():
            gate = self.gates.get(name)
            if gate is not None:
                for key, value in self._optimizer.state.get(gate, {}).items():
                    if isinstance(value, Tensor) and value.shape == gate.shape:
                        self._optimizer.state[gate][key] = value[mask].clone()
                gate.grad = None
                gate.data = gate.data[mask].clone()

    def state_dict(self) -> dict[str, Any]:
        """Returns the gates and the state of what moves them."""
        return {
            "gates": {name: gate.detach() for name, gate in self.gates.items()},
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned, whatever size the gates have now."""
        for name, value in state["gates"].items():
            self.gates[name].grad = None
            self.gates[name].data = value.to(self.gates[name]).clone()
        self._optimizer.load_state_dict(state["optimizer"])
