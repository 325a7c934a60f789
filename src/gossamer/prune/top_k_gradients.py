"""Sparse gradients: of each parameter's gradient the largest entries are used, and what is left out is not forgotten.

    e + g → its k largest entries go to the optimiser; e ← e + g − topk(e + g)

Stich, Cordonnier & Jaggi, "Sparsified SGD with memory", NeurIPS 2018: with the memory e, training converges as with
whole gradients, and little would have to be sent between machines. Ours: the memory is of gradients, before the
learning rate, so any optimiser may follow; k is a fraction of each parameter by itself, at least one entry. Where
several processes train, their gradients are averaged before this, so nothing is saved between them: it shows what
sparse gradients do to training. The network itself does not become smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.prune.selection import top
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class TopKGradients(Method):
    """Trains with the largest entries of each gradient."""

    name = "top-k-gradients"
    density: float = bounded(0.01, gt=0.0, le=1.0)  # fraction of each parameter's gradient that is used
    feedback: bool = True  # whether what is left out is added to the next step's gradient; False: it is lost

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> SparseGradients:
        """Begins with nothing left over."""
        del task
        return SparseGradients(self, model, epochs=epochs)


class SparseGradients(Compression):
    """The state of one run of `TopKGradients`."""

    def __init__(self, method: TopKGradients, model: nn.Module, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._left: dict[str, Tensor] = {}

    @property
    def left(self) -> dict[str, Tensor]:
        """Parameter name to e, what has been left out so far."""
        return dict(self._left)

    @torch.no_grad()
    def after_backward(self) -> None:
        """Puts the largest entries of e + g in the place of each gradient."""
        for name, parameter in self.model.named_parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            past = self._left.get(name)
            total = gradient.clone() if past is None else gradient + past.to(gradient.device)
            largest = top(total.abs().flatten(), self._count(parameter)).view_as(total)
            gradient.copy_(total.masked_fill(~largest, 0.0))
            if self._method.feedback:
                self._left[name] = total.masked_fill(largest, 0.0)

    def report(self) -> dict[str, Any]:
        """Returns the bytes of one step's gradients: whole, and as pairs of an entry and its place of 4 bytes."""
        learned = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return {
            "gradient_bytes": sum(parameter.numel() * parameter.element_size() for parameter in learned),
            "sent_bytes": sum(self._count(parameter) * (parameter.element_size() + 4) for parameter in learned),
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns what has been left out."""
        return {"left": dict(self._left)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._left = dict(state["left"])

    def _count(self, parameter: Tensor) -> int:
        return max(math.ceil(round(self._method.density * parameter.numel(), 6)), 1)


TOP_K_GRADIENTS = register(
    "top-k-gradients",
    TopKGradients(),
    summary="Train a dense network with the largest entries of each gradient, the others kept for later steps.",
    paper="sparsity-survey",
)
