r"""How groups of weights are driven to exact zeros while a network trains.

With x a group's weights before a step, x̂ = x − η·d after it (d is whatever direction the optimiser took, momentum,
Adam's scaling and weight decay included), and every number below one a group:

| rule | for what was chosen |
|---|---|
| `HalfSpace` | x̂ −= η·λ·x/‖x‖, and x̂ = 0 where ⟨x̂, x⟩ < ε‖x‖² |
| `PartByPart` | x̂ ·= (N − t − 1)/(N − t), t of N steps of a period |
| `SoftThreshold` | x̂ ·= max(0, 1 − η·λ/‖x̂‖), of all groups: the proximal step of a group lasso, to compare with |

What is chosen, once, says a `Redundancy`:

| redundancy | high where |
|---|---|
| `DirectionAndSize` | the step leads towards zero, cos(x, d), and weights are small |
| `FiveSigns` | ‖x‖, ‖x‖ over the count, cos(x, d), ⟨x, d⟩ and its square are small |
| `Chance` | a random number is: the control of every comparison |

`HalfSpace` is DHSPG of Chen et al., "OTOv2: automatic, generic, user-friendly", ICLR 2023, `PartByPart` the HESSO of
the same authors' library. λ of DHSPG is adapted so that the step descends both the loss and ‖x‖ where it can. Ours:
`by`, as the authors' λ is for a hundred thousand steps and may leave groups above zero in a short training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from gossamer.settings import Settings, bounded


@dataclass(frozen=True)
class Observed:
    """What one step showed of all groups, (n,) each.

    Attributes:
        norm: ‖x‖.
        size: How many weights each has.
        dot: ⟨x, d⟩.
        direction: ‖d‖.
        moved: ⟨x̂, x⟩.
        after: ‖x̂‖.
    """

    norm: Tensor
    size: Tensor
    dot: Tensor
    direction: Tensor
    moved: Tensor
    after: Tensor

    @property
    def cosine(self) -> Tensor:
        """Of x and d: 1 where the step leads straight to zero."""
        return self.dot / (self.norm * self.direction).clamp_min(1e-20)


@dataclass(frozen=True)
class Moment:
    """Where training is: steps since groups were chosen, steps until the last must be zero, and how it trains."""

    step: int
    steps: int
    rate: float
    optimizer: Optimizer | None


@dataclass(frozen=True)
class Press:
    """What becomes of x̂: x̂ ← factor · x̂ − η · pull · x, then zero where `zero` says so; (n,) each."""

    factor: Tensor
    pull: Tensor
    zero: Tensor


@dataclass(frozen=True, kw_only=True)
class Redundancy(Settings):
    """A family: which groups are needed least."""

    def of(self, seen: Observed, generator: torch.Generator) -> Tensor:
        """Returns one number a group, (n,); the highest are chosen."""
        raise TypeError(f"{type(self).__name__} is abstract: define of()")


@dataclass(frozen=True, kw_only=True)
class DirectionAndSize(Redundancy):
    """Half of cos(x, d) and half of 1 / (‖x‖ / count), both over their norm over all groups; of DHSPG."""

    name = "direction-and-size"

    def of(self, seen: Observed, generator: torch.Generator) -> Tensor:
        """Returns the sum."""
        del generator
        return 0.5 * unit(seen.cosine) + 0.5 * unit(1.0 / (seen.norm / seen.size + 1e-6))


@dataclass(frozen=True, kw_only=True)
class FiveSigns(Redundancy):
    """Minus the sum of ‖x‖, ‖x‖ / count, cos(x, d) + 1, |⟨x, d⟩| and ⟨x, d⟩² / 2, each over its norm; of HESSO."""

    name = "five-signs"

    def of(self, seen: Observed, generator: torch.Generator) -> Tensor:
        """Returns minus a fifth of the sum."""
        del generator
        signs = (seen.norm, seen.norm / seen.size, seen.cosine + 1.0, seen.dot.abs(), 0.5 * seen.dot.square())
        return -0.2 * sum((unit(sign) for sign in signs), torch.zeros_like(seen.norm))


@dataclass(frozen=True, kw_only=True)
class Chance(Redundancy):
    """A uniform number."""

    name = "random"

    def of(self, seen: Observed, generator: torch.Generator) -> Tensor:
        """Returns numbers from `generator`."""
        return torch.rand(len(seen.norm), generator=generator).to(seen.norm)


@dataclass(frozen=True, kw_only=True)
class Pressing(Settings):
    """A family: how chosen groups go to zero."""

    margin: ClassVar[float] = 0.0  # how much more than is asked for is chosen, as a fraction of all groups

    def press(self, seen: Observed, chosen: Tensor, moment: Moment) -> Press:
        """Returns what becomes of the groups; those that are not chosen stay as they are.

        Args:
            seen: What the step showed.
            chosen: (n,) int64: in which order groups were chosen, from 0; -1 = not chosen.
            moment: Where training is.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define press()")


@dataclass(frozen=True, kw_only=True)
class HalfSpace(Pressing):
    """DHSPG: a penalty with a strength of its own for each group, and projection on a half-space."""

    name = "half-space"
    margin = 0.05
    strength: float | None = bounded(None, ge=0.0)  # λ; None = the authors': 1e-3 with SGD, else 1e-2
    amplify: float | None = bounded(None, ge=1.0)  # None = 2 with SGD, else 20
    ceiling: float | None = bounded(None, ge=1.0)  # of λ, over its least; None = 10 with SGD, else 1000
    epsilon: float = bounded(0.0, ge=0.0, lt=1.0)  # ε of the half-space
    in_time: bool = True  # λ is at least what leads to zero in a straight line by the time it is due

    def strengths(self, seen: Observed, optimizer: Optimizer | None) -> Tensor:
        """Returns λ of each group, (n,): where the step leads away from zero, one that turns it round if it can."""
        by_default = (1e-3, 2.0, 10.0) if isinstance(optimizer, SGD) else (1e-2, 20.0, 1e3)
        given = (self.strength, self.amplify, self.ceiling)
        least, amplify, ceiling = (one if one is not None else two for one, two in zip(given, by_default, strict=True))
        away = seen.dot < 0
        low = torch.where(away, -seen.dot / seen.norm.clamp_min(1e-20), 0.0)
        high = torch.where(away, seen.direction.square() * seen.norm / (-seen.dot).clamp_min(1e-20), torch.inf)
        adapted = (amplify * low).clamp(least, least * ceiling)
        adapted = torch.where(adapted >= high, 0.5 * (low + high), adapted)
        return torch.where(away, adapted, least)

    def press(self, seen: Observed, chosen: Tensor, moment: Moment) -> Press:
        """Returns the penalised step and its projection."""
        strength = self.strengths(seen, moment.optimizer)
        if self.in_time and moment.rate:
            against = torch.where(seen.dot < 0, -seen.dot / seen.norm.clamp_min(1e-20), 0.0)
            left = max(moment.steps - moment.step, 1)
            strength = strength.maximum(against + seen.norm / (moment.rate * left))
        strength = torch.where(chosen >= 0, strength, 0.0)
        after = seen.moved - moment.rate * strength * seen.norm
        outside = after < self.epsilon * seen.norm.square()
        if self.in_time and moment.step + 1 >= moment.steps:
            outside = torch.ones_like(outside)
        return Press(
            factor=torch.ones_like(strength),
            pull=strength / seen.norm.clamp_min(1e-20),
            zero=(chosen >= 0) & outside,
        )


@dataclass(frozen=True, kw_only=True)
class PartByPart(Pressing):
    """HESSO: what is chosen shrinks to zero along a straight line, part after part."""

    name = "part-by-part"
    periods: int = bounded(4, ge=1)  # P: parts of what is chosen, the least important first

    def press(self, seen: Observed, chosen: Tensor, moment: Moment) -> Press:
        """Returns the shrinking of the part whose period it is."""
        count = int((chosen >= 0).sum())
        period = max(moment.steps // self.periods, 1)  # N
        now, step = divmod(moment.step, period)
        part = torch.where(chosen >= 0, chosen * self.periods // max(count, 1), self.periods)
        factor = torch.where(part == now, (period - step - 1) / (period - step), 1.0)
        late = (part < now) | ((part < self.periods) & (moment.step + 1 >= moment.steps))
        return Press(
            factor=factor.to(seen.norm),
            pull=torch.zeros_like(seen.norm),
            zero=late | (factor == 0.0),
        )


@dataclass(frozen=True, kw_only=True)
class SoftThreshold(Pressing):
    """The group lasso by proximal steps: all groups shrink alike, and those that reach zero stay there."""

    name = "soft-threshold"
    strength: float = bounded(1e-2, ge=0.0)  # λ

    def press(self, seen: Observed, chosen: Tensor, moment: Moment) -> Press:
        """Returns the shrinking; what was chosen has no say."""
        del chosen
        factor = (1.0 - moment.rate * self.strength / seen.after.clamp_min(1e-20)).clamp_min(0.0)
        return Press(factor=factor, pull=torch.zeros_like(factor), zero=factor == 0.0)


def unit(values: Tensor) -> Tensor:
    """Returns a vector over its Euclidean norm; one of zeros as it is."""
    norm: Any = values.norm()
    return values / norm if norm > 0 else values
