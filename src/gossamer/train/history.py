"""What happened during a training run, epoch by epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class History:
    """The record of a training run; epochs count from 0, and every list has one entry an epoch.

    Attributes:
        epochs: The numbers of the epochs trained.
        train_loss: Mean over the epoch's steps of what was minimised: the task's loss and the hooks' penalty.
        validation: Per metric, its value on the validation split; None where the epoch was not validated.
        seconds: Wall time of training and validation, over all the sittings of a run that was resumed.
        best_epoch: The epoch whose weights were best on validation; None if none qualified.
        stopped_early: Whether `patience` ended the training.
        resumed_from: The epoch in which a checkpoint was taken up; None for a run in one sitting.
        steps: Steps of the optimiser.
        forward_passes: Work of the steps, in dense forward passes of a batch; a dense step counts 3.
        notes: What the user should know, for example that a checkpoint could not be written.
    """

    epochs: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation: dict[str, list[float | None]] = field(default_factory=dict)
    seconds: float = 0.0
    best_epoch: int | None = None
    stopped_early: bool = False
    resumed_from: int | None = None
    steps: int = 0
    forward_passes: float = 0.0
    notes: list[str] = field(default_factory=list)

    def add(self, epoch: int, train_loss: float, validation: dict[str, float] | None) -> None:
        """Appends an epoch; `validation` is None where it was not validated."""
        measured = validation or {}
        for metric in measured:
            self.validation.setdefault(metric, [None] * len(self.epochs))
        for metric, values in self.validation.items():
            values.append(measured.get(metric))
        self.epochs.append(epoch)
        self.train_loss.append(train_loss)

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object; numbers that are not finite become null, so that any reader takes it.

        >>> History(epochs=[0], train_loss=[0.5], validation={"auc": [float("nan")]}).to_json()["validation"]
        {'auc': [None]}
        """
        values = asdict(self)
        values["validation"] = {
            metric: [None if value is None or not math.isfinite(value) else value for value in series]
            for metric, series in self.validation.items()
        }
        return {"epoch": values.pop("epochs")} | values
