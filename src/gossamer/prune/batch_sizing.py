"""Dynamic batch sizing: memory that a shrinking network no longer needs is spent on larger batches.

Follows Valerio, Nardini, Passarella & Perego, 2022 (DynHP). With P, m, A and x as in `train.memory`, in bytes, the
batch is the largest for which P · (2 + m) + B · (A + x) stays within what the first step took, or within a budget.
"""

from __future__ import annotations

from dataclasses import dataclass

from gossamer.settings import Settings, bounded
from gossamer.train import StepMemory


@dataclass(frozen=True, kw_only=True)
class BatchSizing(Settings):
    """How large batches may grow."""

    largest: int = bounded(1024, ge=1)  # examples
    memory: float | None = bounded(None, gt=0)  # bytes of a training step; None = what the first one takes
    rate_cap: float = bounded(1.0, ge=1.0)  # learning rates grow with the batch, up to this factor; 1 = never

    def size(self, now: StepMemory, first: StepMemory) -> int:
        """Returns how many examples a step may take; never fewer than at first, unless `memory` says so."""
        fits = now.largest_batch(first.by_parts if self.memory is None else self.memory, self.largest)
        return fits if self.memory is not None else max(fits, first.examples)

    def rate_factor(self, examples: int, first: int) -> float:
        """Returns what learning rates are multiplied by for a batch that was `first` examples at the start."""
        return max(1.0, min(examples / first, self.rate_cap))
