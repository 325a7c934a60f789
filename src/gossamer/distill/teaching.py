"""A teacher for a compression under way: the network as it was, while the one that becomes smaller goes on learning.

    L = (1 - a) · loss(student, labels) + a · T² · KL(teacherᵀ ‖ studentᵀ)

Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015. A compression adds to the task's loss and
may change gradients: it adds a / (1 - a) of the teacher's part, and multiplies all gradients by 1 - a.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.distill.lessons import SoftTargets
from gossamer.distill.losses import soft_targets
from gossamer.errors import ModelError


class Teaching:
    """A copy of a network that teaches the network itself, whatever becomes of its layers.

    Args:
        model: The student, as it is when it begins to teach itself; its loss must call it once a batch, and it must
            answer with logits (..., classes).
        how: Weight and temperature.
    """

    def __init__(self, model: nn.Module, how: SoftTargets) -> None:
        self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        self._student, self._how = model, how
        self._calls: list[tuple[Any, Any, Any]] = []
        self._hook = model.register_forward_hook(self._note, with_kwargs=True)

    def loss(self) -> Tensor:
        """Returns what to add to the task's loss of the batch that the student was just called on.

        Raises:
            ModelError: The student was not called once, or gave no tensor.
        """
        calls, self._calls = self._calls, []
        if len(calls) != 1 or not isinstance(calls[0][2], Tensor):
            raise ModelError(
                f"distillation: the task's loss called the network {len(calls)} times; expected one call that returns "
                "logits"
            )
        args, kwargs, answers = calls[0]
        with torch.no_grad():
            wanted = self.teacher(*args, **kwargs)
        a = self._how.weight
        return a / (1.0 - a) * soft_targets(answers, wanted, self._how.temperature)

    @torch.no_grad()
    def scale_gradients(self) -> None:
        """Multiplies the student's gradients by 1 - a."""
        for parameter in self._student.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(1.0 - self._how.weight)

    def end(self) -> None:
        """Takes the hook off the student."""
        self._hook.remove()

    def _note(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        if module.training:
            self._calls.append((args, kwargs, out))
