"""The dense network, trained for the same number of epochs: what every other method is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Dense(Method):
    """Trains and removes nothing."""

    name = "dense"

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> Compression:
        """Begins plain training; `task` is not looked at."""
        del task
        return Compression(model, epochs=epochs)


DENSE = register("dense", Dense(), summary="Plain training, nothing removed: the baseline of every comparison.")
