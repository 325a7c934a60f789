"""Lets any method train with a teacher's answers in the loss: a task that wraps another.

    L = (1 - a) · loss(student, labels) + a · T² · KL(teacherᵀ ‖ studentᵀ)

Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from gossamer.distill.losses import soft_targets
from gossamer.errors import ModelError
from gossamer.settings import Settings, bounded
from gossamer.tasks.task import Split, Task


@dataclass(frozen=True, kw_only=True)
class SoftTargets(Settings):
    """How much a teacher has to say, and how softly."""

    weight: float = bounded(0.7, ge=0.0, le=1.0)  # a: of the teacher's answers in the loss; usually 0.5 to 0.9
    temperature: float = bounded(4.0, gt=0.0)  # T; usually 2 to 10


class Distilled(Task):
    """A task as it is, with a teacher's answers in the loss.

    What the network is called on in a loss is shown to the teacher too, so this works for any task whose loss calls the
    network once and whose network answers with logits (..., classes).

    Args:
        task: What the network must do.
        teacher: A network that can do it; a copy is kept, in evaluation mode.
        how: Weight and temperature.
    """

    def __init__(self, task: Task, teacher: nn.Module, how: SoftTargets | None = None) -> None:
        self.task = task
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.how = SoftTargets() if how is None else how
        self.name = f"{task.name} with a teacher"
        self.metric, self.higher_is_better = task.metric, task.higher_is_better
        self.batch_size = task.batch_size

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns (1 - a) · the task's loss + a · `soft_targets`.

        Raises:
            ModelError: The task's loss does not call the network once, or the network gives no tensor.
        """
        calls: list[tuple[Any, Any, Any]] = []

        def note(_: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            calls.append((args, kwargs, out))

        handle = model.register_forward_hook(note, with_kwargs=True)
        try:
            plain = self.task.loss(model, batch)
        finally:
            handle.remove()
        if len(calls) != 1 or not isinstance(calls[0][2], Tensor):
            raise ModelError(
                f"distillation: the loss of task {self.task.name!r} called the network {len(calls)} times; expected "
                "one call that returns logits"
            )
        args, kwargs, answers = calls[0]
        with torch.no_grad():
            wanted = self.teacher(*args, **kwargs)
        a = self.how.weight
        return (1.0 - a) * plain + a * soft_targets(answers, wanted, self.how.temperature)

    def with_batch_size(self, batch_size: int) -> Self:
        """As the task."""
        other = super().with_batch_size(batch_size)
        other.task = self.task.with_batch_size(batch_size)
        return other

    def steps(self) -> int:
        """As the task."""
        return self.task.steps()

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        """As the task."""
        return self.task.batches(split, seed=seed, epoch=epoch)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """As the task."""
        return self.task.evaluate(model, split)

    def example(self) -> tuple[Any, ...]:
        """As the task."""
        return self.task.example()

    def examples_per_step(self) -> float:
        """As the task; what the teacher computes is not counted."""
        return self.task.examples_per_step()

    def dimensions(self) -> dict[str, int]:
        """As the task."""
        return self.task.dimensions()

    def stages(self) -> dict[str, float]:
        """As the task."""
        return self.task.stages()

    def to(self, device: torch.device | str) -> Distilled:
        """Moves task and teacher."""
        self.task, self.teacher = self.task.to(device), self.teacher.to(device)
        return self
