"""A random gate on each output of some layers, which training opens or shuts: those of `l0`, one a row.

While a network trains, its weights are multiplied row by row by gates that are drawn anew for each step. Gradients of
what the network computes with become, by the chain rule, those of the weights and of the gates' log-odds a, which an
optimiser of their own moves within [log 0.01, log 100]. `fold` ends it: each row is multiplied by what its gate is
without chance. Biases have no gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.prune.constraints import Layer
from gossamer.prune.l0 import HardConcrete
from gossamer.prune.weights import PrunableWeight
from gossamer.train import Optimizer

_LIMIT = math.log(100.0)


class Gates:
    """The gates of a network in training.

    Args:
        kind: How a gate depends on chance and log-odds.
        weights: Those whose rows have gates; may be none.
        by: What moves the log-odds.
        generator: On the CPU; the source of chance.
    """

    def __init__(
        self, kind: HardConcrete, weights: Sequence[PrunableWeight], by: Optimizer, generator: torch.Generator
    ) -> None:
        self._kind = kind
        self._weights = tuple(weights)
        self._generator = generator
        self._odds = {weight.name: nn.Parameter(kind.begin(_rows(weight), generator)) for weight in weights}
        self._optimizer = by.build(self._odds.values()) if weights else None
        self._clean: dict[str, Tensor] = {}  # the weights without gates, while the network computes with them
        self._chance: dict[str, Tensor] = {}

    def layer(self, weight: PrunableWeight) -> Layer:
        """Returns a weight as penalties see it; their gradients are taken along by `back`."""
        if weight.name not in self._odds:
            return Layer(weight.matrix(weight.weight))
        clean = self._clean[weight.name].requires_grad_()
        odds = self._odds[weight.name].view(-1)
        return Layer(weight.matrix(clean), self._kind.penalty(odds, odds))

    @torch.no_grad()
    def shake(self) -> None:
        """Draws all gates and puts rows multiplied by them in place of the weights."""
        for weight in self._weights:
            name, clean = weight.name, weight.weight.detach().clone()
            odds = self._odds[name]
            self._clean[name], self._chance[name] = clean, self._kind.draw(odds, self._generator)
            weight.weight.copy_(self._kind.noisy(clean, odds, self._chance[name]))

    @torch.no_grad()
    def back(self) -> None:
        """Puts the weights back with their own gradients, and moves the log-odds."""
        for weight in self._weights:
            name, gradient = weight.name, weight.weight.grad
            clean, odds = self._clean[name], self._odds[name]
            seen = torch.zeros_like(clean) if gradient is None else gradient
            back = self._kind.back(clean.detach(), odds, self._chance[name], seen)
            rows = back.number.flatten(1).sum(1).view_as(odds)
            odds.grad = rows if odds.grad is None else odds.grad + rows
            weight.weight.copy_(clean)
            weight.weight.grad = back.weight if clean.grad is None else back.weight + clean.grad
        if self._optimizer is not None:
            self._optimizer.step()
            self._optimizer.zero_grad()
        for odds in self._odds.values():
            odds.clamp_(-_LIMIT, _LIMIT)

    @torch.no_grad()
    def fold(self) -> None:
        """Multiplies each row, which must be free of chance, by its gate without chance."""
        for weight in self._weights:
            weight.weight.copy_(self._kind.clean(weight.weight, self._odds[weight.name]))
        self._clean, self._chance = {}, {}

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the weights without gates back into the network."""
        for weight in self._weights:
            weight.weight.copy_(self._clean[weight.name])

    def state_dict(self) -> dict[str, Any]:
        """Returns log-odds, their optimiser, and what the network computes with now."""
        return {
            "odds": {name: odds.detach() for name, odds in self._odds.items()},
            "optimizer": None if self._optimizer is None else self._optimizer.state_dict(),
            "clean": {name: clean.detach() for name, clean in self._clean.items()},
            "chance": dict(self._chance),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        for name, odds in self._odds.items():
            odds.copy_(state["odds"][name])
        if self._optimizer is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        devices = {weight.name: weight.weight.device for weight in self._weights}
        self._clean = {name: clean.to(devices[name]) for name, clean in state["clean"].items()}
        self._chance = {name: chance.to(devices[name]) for name, chance in state["chance"].items()}


def _rows(weight: PrunableWeight) -> Tensor:
    """Returns one number a row in a shape that multiplies the weight, (R, 1, ...)."""
    value = weight.weight.detach()
    return value.new_zeros(len(value), *[1] * (value.dim() - 1))
