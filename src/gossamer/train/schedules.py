"""How the learning rate moves while a network trains.

A schedule is a function of time and nothing else: `factor(epoch, epochs)` is what the optimiser's learning
rate is multiplied by at a moment that may lie inside an epoch (2.5 is the middle of the third). So a run that
was killed needs no schedule state to go on, and one schedule serves runs of any length.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import ClassVar

from gossamer.errors import SettingError
from gossamer.settings import Settings, bounded

_ROUNDING = 1e-9  # so that 0.1 of 30 epochs is epoch 3, although 0.1 * 30 > 3


@dataclass(frozen=True, kw_only=True)
class Schedule(Settings):
    """The family of learning-rate schedules; use a member."""

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns the multiplier of the learning rate.

        Args:
            epoch: The moment, in epochs since training began, in [0, epochs].
            epochs: The length of the training, above 0.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define factor()")


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The learning rate stays what it is."""

    name: ClassVar[str] = "constant"

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns 1."""
        del epoch, epochs
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """A straight line from 1 down to `final`."""

    name: ClassVar[str] = "linear"
    final: float = bounded(0.0, ge=0.0, le=1.0)  # fraction of the learning rate left at the end

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns 1 + (final - 1) epoch / epochs."""
        return 1.0 + (self.final - 1.0) * epoch / epochs


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to `final` (Loshchilov and Hutter, "SGDR", 2017, without restarts)."""

    name: ClassVar[str] = "cosine"
    final: float = bounded(0.0, ge=0.0, le=1.0)  # fraction of the learning rate left at the end

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns final + (1 - final) (1 + cos(π epoch / epochs)) / 2."""
        return _cosine(1.0, self.final, epoch / epochs)


@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """The same fraction lost over every epoch."""

    name: ClassVar[str] = "exponential"
    gamma: float = bounded(0.95, gt=0.0, le=1.0)  # what is left after one epoch

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns gamma to the power of `epoch`."""
        del epochs
        return math.pow(self.gamma, epoch)


@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """Multiplied by `gamma` after every so many epochs."""

    name: ClassVar[str] = "step"
    every: int = bounded(30, ge=1)  # epochs
    gamma: float = bounded(0.1, gt=0.0, le=1.0)

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns gamma to the power of the number of whole periods that have passed."""
        del epochs
        return self.gamma ** math.floor(epoch / self.every + _ROUNDING)


@dataclass(frozen=True, kw_only=True)
class MultiStep(Schedule):
    """Multiplied by `gamma` at given fractions of the training."""

    name: ClassVar[str] = "multistep"
    at: tuple[float, ...] = (0.5, 0.75)  # rising, each in (0, 1)
    gamma: float = bounded(0.1, gt=0.0, le=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(isinstance(at, float | int) and 0 < at < 1 for at in self.at) or list(self.at) != sorted(self.at):
            raise SettingError(f"multistep: at is {self.at!r}; expected rising fractions above 0 and below 1")

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns gamma to the power of the number of milestones that have been reached."""
        return self.gamma ** bisect.bisect_right(self.at, epoch / epochs + _ROUNDING)


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Up to the full learning rate and far down again, on two half cosines (Smith and Topin, 2019).

    Only the learning rate moves; the paper's counter-movement of the momentum is left out.
    """

    name: ClassVar[str] = "onecycle"
    peak: float = bounded(0.3, gt=0.0, lt=1.0)  # fraction of the training at which the full rate is reached
    start: float = bounded(0.04, ge=0.0, le=1.0)  # fraction of the learning rate at the beginning
    final: float = bounded(4e-6, ge=0.0, le=1.0)  # fraction of the learning rate left at the end

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns the height of the rising or of the falling half cosine."""
        time = epoch / epochs
        if time < self.peak:
            return _cosine(self.start, 1.0, time / self.peak)
        return _cosine(1.0, self.final, (time - self.peak) / (1.0 - self.peak))


@dataclass(frozen=True, kw_only=True)
class Warmup(Schedule):
    """A straight line up to 1 over the first epochs, then another schedule over those that are left."""

    name: ClassVar[str] = "warmup"
    length: float = bounded(5.0, ge=0.0)  # epochs
    start: float = bounded(0.0, ge=0.0, le=1.0)  # fraction of the learning rate at the beginning
    then: Schedule = Cosine()

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns the height of the line, then what `then` says of the time after it."""
        if epoch < self.length:
            return self.start + (1.0 - self.start) * epoch / self.length
        return self.then.factor(epoch - self.length, max(epochs - self.length, _ROUNDING))


@dataclass(frozen=True, kw_only=True)
class Repeat(Schedule):
    """Another schedule over and over: the learning rate is rewound at the start of each of equal parts.

    With `rounds` + 1 times it follows the rounds of iterative pruning (Renda, Frankle & Carbin, ICLR 2020).
    """

    name: ClassVar[str] = "repeat"
    times: int = bounded(5, ge=1)
    then: Schedule = Cosine()

    def factor(self, epoch: float, epochs: float) -> float:
        """Returns what `then` says of the time since the part began, in a training of a part's length."""
        part = epochs / self.times
        past = min(math.floor(epoch / part + _ROUNDING), self.times - 1)
        return self.then.factor(max(epoch - past * part, 0.0), part)


def _cosine(high: float, low: float, time: float) -> float:
    """Returns the half cosine from `high` at time 0 to `low` at time 1."""
    return low + (high - low) * (1.0 + math.cos(math.pi * time)) / 2.0
