"""Keeps the weights that did best on the validation split.

Small validation splits tie often. Of two epochs with the same headline metric, the one with the lower
validation loss is better where the task's `evaluate` gives a metric called "loss"; otherwise, and if that
ties too, the earlier one.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from gossamer.errors import TrainingError
from gossamer.tasks.task import Task
from gossamer.train.checkpoint import cloned
from gossamer.train.hooks import Hooks


class Best:
    """The best epoch so far, and its weights.

    Args:
        task: Says which metric is the headline and which way is better.
        keep: Whether to copy the weights, and the hooks' state, of the best epoch.
    """

    def __init__(self, task: Task, *, keep: bool) -> None:
        self._task = task
        self._keep = keep
        self._rank: tuple[float, float] | None = None
        self._weights: dict[str, Any] | None = None
        self.epoch: int | None = None

    def consider(self, epoch: int, metrics: dict[str, float], model: nn.Module, hooks: Hooks) -> None:
        """Takes the weights of this epoch if its metrics are better than all before; NaN is never better.

        Raises:
            TrainingError: The task's headline metric is not among the metrics.
        """
        if self._task.metric not in metrics:
            found = ", ".join(metrics) or "nothing"
            raise TrainingError(
                f"task {self._task.name!r} evaluates to {found}; expected its headline metric {self._task.metric!r}"
            )
        value = metrics[self._task.metric]
        rank = (value if self._task.higher_is_better else -value, -metrics.get("loss", 0.0))
        if math.isnan(value) or (self._rank is not None and rank <= self._rank):
            return
        self.epoch, self._rank = epoch, rank
        if self._keep:
            self._weights = cloned({"model": model.state_dict(), "hooks": hooks.state_dict()})

    def restore(self, model: nn.Module, hooks: Hooks) -> None:
        """Puts the kept weights back, if there are any."""
        if self._weights is not None:
            hooks.load_state_dict(cloned(self._weights["hooks"]))
            model.load_state_dict(self._weights["model"])

    def state_dict(self) -> dict[str, Any]:
        """Returns everything, as `save_state` takes it."""
        return {"epoch": self.epoch, "rank": self._rank, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self.epoch, self._rank, self._weights = state["epoch"], state["rank"], state["weights"]
