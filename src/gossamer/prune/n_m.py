"""N:M sparsity: in every m consecutive weights of a row, the n largest stay.

The pattern that sparse tensor cores take as 2:4: Mishra et al., "Accelerating sparse deep neural networks",
2021. Its regularity also makes the file small, as two bits tell where each weight was. The recipe there is
train, prune once, retrain. Ours: any n and m, and pieces run along the row as the layer's matrix has it,
(C_in, kh, kw) for convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from gossamer.compression.method import Method
from gossamer.compression.registry import register
from gossamer.prune.granularity import NM
from gossamer.prune.hard_masks import HardMasks, MaskedTraining
from gossamer.prune.schedules import OneShot, Schedule
from gossamer.prune.scores import Magnitude, Score
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class NMPattern(Method):
    """`HardMasks` with the `NM` granularity; without a knob, as n and m fix the sparsity."""

    name = "n-m-pattern"
    n: int = bounded(2, ge=1)  # weights kept
    m: int = bounded(4, ge=2)  # of so many consecutive ones
    score: Score = field(default_factory=Magnitude)
    schedule: Schedule = field(default_factory=OneShot)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks n < m as well as the ranges."""
        super().__post_init__()
        NM(n=self.n, m=self.m)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> MaskedTraining:
        """Begins; see `HardMasks.start`."""
        method = HardMasks(
            sparsity=1.0 - self.n / self.m,
            score=self.score,
            granularity=NM(n=self.n, m=self.m),
            schedule=self.schedule,
            layers=self.layers,
            exclude=self.exclude,
        )
        return method.start(model, task, epochs=epochs)


N_M = register(
    "magnitude-2-4",
    NMPattern(),
    summary="Train, keep the 2 largest of every 4 consecutive weights, retrain.",
)
