"""Weights split from their pruned copies, and two rules for the multipliers that pull them together again.

To prune is to minimise the loss f(W) where each weight lies in a set S of sparse tensors. With a copy Z in S,
multipliers Λ and a penalty ρ this is a search for a saddle point of

    f(W) + <Λ, W − Z> + ρ/2 ‖W − Z‖²  =  f(W) + ρ/2 ‖W − Z + Λ/ρ‖² − ‖Λ‖² / 2ρ

in which W is trained, and Z is a projection onto S. The rules differ in how Λ moves between two stretches of
training:

| rule | Λ | source |
|---|---|---|
| `Alternating` | + ρ (W − Z) after each projection | ADMM: Zhang et al., ECCV 2018 |
| `Surrogate` | + s (W − Z) after training and after the projection, where each has lowered the Lagrangian | `slr` |

The step size s of `Surrogate` shrinks with the number k of moves so far, as in Gurevin et al., IJCAI 2021:
s ← α s · (the distance before) / (the distance now), α = 1 − 1/(M k^p), p = 1 − 1/k^r, distances ‖W − Z‖ summed
over the layers. Ours: W and Z of the last move are copies, where the authors' code holds a reference to
the weights in training and starts from zeros. Before there is an earlier loss, it counts as equal to the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.settings import Settings, bounded

Tensors = dict[str, Tensor]  # parameter name to a tensor of its shape


class Split:
    """Parameters W, their pruned copies Z and the multipliers Λ; at first Z is the projection of W, and Λ is 0.

    Attributes:
        parameters: W, by name; they are trained, never written here.
        copies: Z.
        multipliers: Λ.
        rho: ρ, above 0.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], project: Callable[[Tensors], Tensors], *, rho: float
    ) -> None:
        self.parameters = dict(parameters)
        self.rho = rho
        self._project = project
        self.copies = project(self.weights())
        self.multipliers = {name: torch.zeros_like(value) for name, value in self.copies.items()}
        self._targets = self._shifted()

    def weights(self) -> Tensors:
        """Returns a copy of W as it is now."""
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def penalty(self) -> Tensor:
        """Returns ρ/2 ‖W − Z + Λ/ρ‖², a scalar with a gradient in W."""
        terms = [(parameter - self._targets[name]).square().sum() for name, parameter in self.parameters.items()]
        return 0.5 * self.rho * torch.stack(terms).sum()

    def penalty_of(self, weights: Tensors, copies: Tensors) -> float:
        """Returns ρ/2 ‖W − Z + Λ/ρ‖² of these W and Z."""
        terms = [
            (value - copies[name] + self.multipliers[name] / self.rho).square().sum() for name, value in weights.items()
        ]
        return 0.5 * self.rho * float(torch.stack(terms).sum())

    def projected(self, weights: Tensors) -> Tensors:
        """Returns the projection of W + Λ/ρ: the best Z for these W."""
        return self._project({name: value + self.multipliers[name] / self.rho for name, value in weights.items()})

    def move(self, weights: Tensors, copies: Tensors, step: float) -> None:
        """Adds step · (W − Z) of these W and Z to the multipliers."""
        self.multipliers = {
            name: value + step * (weights[name] - copies[name]) for name, value in self.multipliers.items()
        }
        self._targets = self._shifted()

    def set_copies(self, copies: Tensors) -> None:
        """Replaces Z."""
        self.copies = copies
        self._targets = self._shifted()

    def residual(self) -> float:
        """Returns ‖W − Z‖ / ‖W‖, each norm summed over the layers."""
        weights = self.weights()
        size = distance(weights, {name: torch.zeros_like(value) for name, value in weights.items()})
        return distance(weights, self.copies) / size if size else 0.0

    def state_dict(self) -> dict[str, Any]:
        """Returns Z and Λ."""
        return {"copies": dict(self.copies), "multipliers": dict(self.multipliers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self.copies = self.beside(state["copies"])
        self.multipliers = self.beside(state["multipliers"])
        self._targets = self._shifted()

    def beside(self, tensors: Mapping[str, Tensor]) -> Tensors:
        """Returns tensors on the devices of their parameters."""
        return {name: value.to(self.parameters[name].device) for name, value in tensors.items()}

    def _shifted(self) -> Tensors:
        """Returns Z − Λ/ρ, which training pulls the weights to."""
        return {name: value - self.multipliers[name] / self.rho for name, value in self.copies.items()}


def distance(left: Tensors, right: Tensors) -> float:
    """Returns the sum over the layers of ‖left − right‖."""
    return float(torch.stack([(value - right[name]).norm() for name, value in left.items()]).sum())


class Updates:
    """What a rule does between two stretches of training; it holds the rule's state."""

    def update(self, loss: float, before: float) -> None:
        """Projects, and moves the multipliers.

        Args:
            loss: Mean task loss of the last stretch of training, without penalty.
            before: That of the stretch before.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define update()")

    def report(self) -> dict[str, Any]:
        """Returns what happened, as a JSON object."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Returns what a killed run needs to go on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        del state


@dataclass(frozen=True, kw_only=True)
class Multipliers(Settings):
    """A family: how the multipliers move."""

    def start(self, split: Split) -> Updates:
        """Begins with a split whose multipliers are zero."""
        raise TypeError(f"{type(self).__name__} is abstract: define start()")


@dataclass(frozen=True, kw_only=True)
class Alternating(Multipliers):
    """ADMM: project, then move by ρ, unconditionally."""

    name = "alternating"

    def start(self, split: Split) -> Updates:
        """Begins; there is no state."""
        return _Alternating(split)


@dataclass(frozen=True, kw_only=True)
class Surrogate(Multipliers):
    """Surrogate Lagrangian relaxation: two moves an update, each only if what came before it was worth it."""

    name = "surrogate"
    step: float = bounded(0.01, gt=0.0)  # s at the start
    slowness: float = bounded(300.0, gt=1.0)  # M: the higher, the more slowly the step shrinks
    exponent: float = bounded(0.1, gt=0.0, lt=1.0)  # r

    def start(self, split: Split) -> Updates:
        """Begins with the weights and copies there are."""
        return _Surrogate(self, split)


class _Alternating(Updates):
    def __init__(self, split: Split) -> None:
        self._split = split

    def update(self, loss: float, before: float) -> None:
        split, weights = self._split, self._split.weights()
        split.set_copies(split.projected(weights))
        split.move(weights, split.copies, split.rho)


class _Surrogate(Updates):
    def __init__(self, settings: Surrogate, split: Split) -> None:
        self._settings = settings
        self._split = split
        self._step = settings.step
        self._moves = 1  # k
        self._weights, self._copies = split.weights(), split.copies  # of the last move
        self._accepted = [0, 0]  # moves after training, and after the projection

    def update(self, loss: float, before: float) -> None:
        split, weights = self._split, self._split.weights()

        now = loss + split.penalty_of(weights, self._copies)
        if self._moves == 1 or now < before + split.penalty_of(self._weights, self._copies):
            self._move(weights, self._copies)
            self._accepted[0] += 1

        split.set_copies(split.projected(weights))
        now = loss + split.penalty_of(weights, split.copies)
        if self._moves == 1 or now < before + split.penalty_of(weights, self._copies):
            self._move(weights, split.copies)
            self._accepted[1] += 1

    def report(self) -> dict[str, Any]:
        return {"moves_after_training": self._accepted[0], "moves_after_projection": self._accepted[1]}

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self._step,
            "moves": self._moves,
            "weights": dict(self._weights),
            "copies": dict(self._copies),
            "accepted": list(self._accepted),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._step, self._moves = state["step"], state["moves"]
        self._weights = self._split.beside(state["weights"])
        self._copies = self._split.beside(state["copies"])
        self._accepted = list(state["accepted"])

    def _move(self, weights: Tensors, copies: Tensors) -> None:
        """Rescales the step, moves the multipliers by it, and remembers where."""
        exponent = 1.0 - self._moves**-self._settings.exponent
        shrink = 1.0 - 1.0 / (self._settings.slowness * self._moves**exponent)
        earlier, now = distance(self._weights, self._copies), distance(weights, copies)
        if earlier and now:
            self._step *= shrink * earlier / now
        self._split.move(weights, copies, self._step)
        self._moves += 1
        self._weights, self._copies = weights, self._split.copies
