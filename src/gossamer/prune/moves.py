"""When drop-and-grow moves weights, and how many."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Moves:
    """The updates of one training: every so many steps, of a fraction ζ that falls along a half cosine.

    Attributes:
        steps: Of the whole training.
        every: Steps between updates, ΔT.
        until: Fraction of the training with updates.
        first: ζ at the beginning.
        last: ζ at the end.
    """

    steps: int
    every: int
    until: float
    first: float
    last: float

    @property
    def final(self) -> int:
        """The step of the last update, 0 where there is none: after the last step nothing would be trained."""
        updating = max(min(math.floor(self.until * self.steps), self.steps - 1), 0)
        return updating // self.every * self.every

    def at(self, step: int) -> bool:
        """Says whether this step, the first being 1, is followed by an update."""
        return step % self.every == 0 and step <= self.final

    def fraction(self, step: int) -> float:
        """Returns ζ: the fraction of the weights that an update at this step moves."""
        over = min(step / max(self.until * self.steps, 1.0), 1.0)
        return self.last + (self.first - self.last) * (1.0 + math.cos(math.pi * over)) / 2.0

    def remark(self) -> tuple[str, ...]:
        """Says so where training is too short for a single update, so that no weight ever moves."""
        if self.final or not self.steps or not self.until:
            return ()
        share = f", {self.until:.0%} of which may be followed by one" if self.until < 1.0 else ""
        return (
            f"No weight was moved: updates come every {self.every} steps, and training has {self.steps}{share}. "
            f"Set 'every' to {max(self.steps // 10, 1)}, or train for more epochs.",
        )
