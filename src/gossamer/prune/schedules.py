"""When weights are removed.

A schedule is a plan: at which training steps to prune, to what sparsity, and whether to rewind. Times are
fractions of the training, so that one schedule fits any number of epochs; without training everything happens
at once, at the start.

| schedule | sparsity over training | source |
|---|---|---|
| `OneShot` | 0, then all of it at one step | Han et al., NeurIPS 2015 |
| `Cubic` | s·(1 − (1 − τ)³), τ from 0 to 1 over the pruning period | Zhu & Gupta, 2017, eq. (1) |
| `Iterative` | 1 − (1 − s)^(r/R) after round r of R, with rewinding | Frankle & Carbin, ICLR 2019 |
| `Progressive` | 0.1, 0.2, ... up to s, then s again | You et al., "SuperTickets", ECCV 2022 |
"""

from __future__ import annotations

from dataclasses import dataclass

from gossamer.errors import SettingError
from gossamer.settings import Settings, bounded


@dataclass(frozen=True)
class Event:
    """One pruning: after `step` training steps, to `sparsity`; then, if `rewind`, back to early weights."""

    step: int
    sparsity: float
    rewind: bool = False


@dataclass(frozen=True, kw_only=True)
class Schedule(Settings):
    """A family: when weights are removed."""

    def plan(self, steps: int, sparsity: float) -> tuple[Event, ...]:
        """Returns the events in order of their steps, at most one a step; the last has exactly `sparsity`.

        Args:
            steps: Training steps in all, at least 0. An event at step 0 comes before training.
            sparsity: The final sparsity, in [0, 1).
        """
        raise TypeError(f"{type(self).__name__} is abstract: define plan()")

    def snapshot_step(self, steps: int) -> int | None:
        """Returns the step whose weights rewinding goes back to; None where nothing is rewound."""
        del steps
        return None


@dataclass(frozen=True, kw_only=True)
class OneShot(Schedule):
    """Everything at one step; what is left of the training retrains."""

    name = "one-shot"
    at: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of the training; 0 = before it, 1 = after it

    def plan(self, steps: int, sparsity: float) -> tuple[Event, ...]:
        """Returns one event."""
        return (Event(round(self.at * steps), sparsity),)


@dataclass(frozen=True, kw_only=True)
class Cubic(Schedule):
    """Fast first, while there is much to spare, then ever more slowly."""

    name = "cubic"
    start: float = bounded(0.0, ge=0.0, lt=1.0)  # fraction of the training at which pruning begins
    end: float = bounded(0.7, gt=0.0, le=1.0)  # fraction of the training at which it is complete
    every: float = bounded(0.02, gt=0.0, le=1.0)  # fraction of the training between two prunings

    def __post_init__(self) -> None:
        """Checks start < end as well as the ranges."""
        super().__post_init__()
        if self.start >= self.end:
            raise SettingError(f"cubic: start is {self.start:g} and end is {self.end:g}; expected start before end")

    def plan(self, steps: int, sparsity: float) -> tuple[Event, ...]:
        """Returns equally spaced events over (start, end]."""
        count = max(1, round((self.end - self.start) / self.every))
        events = {}
        for i in range(1, count + 1):
            step = round((self.start + (self.end - self.start) * i / count) * steps)
            events[step] = Event(step, sparsity * (1.0 - (1.0 - i / count) ** 3))
        return tuple(events.values())


@dataclass(frozen=True, kw_only=True)
class Iterative(Schedule):
    """Rounds of training and pruning; each round removes the same fraction of what is left.

    The training is cut into rounds + 1 equal parts: the network is pruned after each but the last, which
    trains the result. With rewinding, all parameters and buffers go back to what they were early on before
    the next part begins.
    """

    name = "iterative"
    rounds: int = bounded(4, ge=1)
    rewind: bool = True
    rewind_to: float = bounded(0.0, ge=0.0, lt=1.0)  # fraction of the first part; 0 = the initial weights

    def plan(self, steps: int, sparsity: float) -> tuple[Event, ...]:
        """Returns one event a round; without training, one event in all."""
        if steps == 0:
            return (Event(0, sparsity),)
        events = {}
        for i in range(1, self.rounds + 1):
            step = round(steps * i / (self.rounds + 1))
            now = sparsity if i == self.rounds else 1.0 - (1.0 - sparsity) ** (i / self.rounds)
            events[step] = Event(step, now, rewind=self.rewind and step > 0)
        return tuple(events.values())

    def snapshot_step(self, steps: int) -> int | None:
        """Returns a step of the first part."""
        return int(self.rewind_to * steps / (self.rounds + 1)) if self.rewind and steps else None


@dataclass(frozen=True, kw_only=True)
class Progressive(Schedule):
    """The same fraction of all weights more each time, until the sparsity is reached, which is then chosen anew.

    Where there are too few times to reach it so, the last one removes all that is missing.
    """

    name = "progressive"
    step: float = bounded(0.1, gt=0.0, le=1.0)  # fraction of all weights that each pruning adds
    every: float = bounded(0.07, gt=0.0, le=1.0)  # fraction of the training between two prunings
    end: float = bounded(0.8, gt=0.0, le=1.0)  # fraction of the training after which there is none

    def plan(self, steps: int, sparsity: float) -> tuple[Event, ...]:
        """Returns events at every, 2·every, ... of the training; without training, one event in all."""
        count = max(1, int(self.end / self.every + 1e-9))
        events = {}
        for i in range(1, count + 1):
            step = round(min(i * self.every, self.end) * steps)
            events[step] = Event(step, sparsity if i == count else min(sparsity, i * self.step))
        return tuple(events.values())
