"""The settings of a training run, all that `fit` has to know besides the network and the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gossamer.settings import Settings, bounded
from gossamer.train.optimizers import Adam, Optimizer
from gossamer.train.schedules import Constant, Schedule


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    """How a network is trained.

    >>> Training(epochs=30).replace(optimizer="sgd", schedule="cosine").to_json()["schedule"]
    {'name': 'cosine', 'final': 0.0}
    """

    epochs: int = bounded(200, ge=0)
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: Schedule = field(default_factory=Constant)  # of the learning rate
    patience: int | None = bounded(None, ge=1)  # stop after so many epochs without a better result; None = never
    keep_best: bool = True  # end with the weights that did best on validation, not with the last ones
    clip_norm: float | None = bounded(None, gt=0.0)  # largest norm of the whole gradient; None = any
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    drop_edges: float = bounded(0.0, ge=0.0, lt=1.0)  # fraction of the graph's edges left out, others every epoch
    validate_every: int = bounded(1, ge=1)  # epochs; the last epoch is always validated
    checkpoint_minutes: float = bounded(5.0, ge=0.0)  # between two checkpoints; 0 = after every step
