"""The contract of every way to make a network smaller.

A `Method` is configuration only; `start` turns it into a `Compression`, the state of one run. A training loop
calls the compression's hooks at five places and `finish()` at the end:

    run = method.start(model, task, epochs=30)
    task = run.task or task
    for epoch in range(run.epochs):
        seen = task.with_batch_size(run.batch_size) if run.batch_size else task
        for batch in seen.batches("train", epoch=epoch):
            optimizer.zero_grad()
            loss = task.loss(run.model, batch)
            run.after_loss(loss.detach())
            penalty = run.penalty()
            (loss if penalty is None else loss + penalty).backward()
            run.after_backward()
            optimizer.step()
            run.after_step(optimizer)
        run.after_epoch(epoch)
    small = run.finish()
    task = run.task or task
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.settings import Settings
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Method(Settings):
    """The settings of one way to make a network smaller; no tensors, no model."""

    paper: ClassVar[str] = ""  # id of the publication it follows
    knob: ClassVar[str] = ""  # the field that a budget search turns; "" where there is none
    knobs: ClassVar[tuple[str, ...]] = ()  # further fields that `explore` varies together with it
    needs_graph: ClassVar[bool] = False  # whether `start` refuses a task without a graph

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> Compression:
        """Begins a compression of `model`, which it may change in place.

        Args:
            model: The network to compress; `compress` hands over a copy.
            task: What the network must do.
            epochs: How many epochs of training the compression may use, at least 0.

        Raises:
            ModelError: The model, or the task's graph, has nothing that this method could remove.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define start()")


class Compression:
    """The state of one compression under way; the base is the one that does nothing.

    Attributes:
        model: The network to train.
        epochs: How many epochs it trains; may differ from what was asked for.
        task: What to train and to evaluate on, where that is not the task given: a method that removes edges of the
            graph puts its own here. After `finish()` it is what the network was made for. None for most.
        batch_size: The most examples a step takes, where that is not what the task has. A training loop reads it before
            each epoch.
        rate_factor: What the learning rates are multiplied by, besides their schedule, before each epoch.
    """

    task: Task | None = None
    batch_size: int | None = None
    rate_factor: float = 1.0

    def __init__(self, model: nn.Module, *, epochs: int) -> None:
        self.model = model
        self.epochs = epochs

    @property
    def settled(self) -> bool:
        """True once the network has its final size: only then may best weights be kept or training stop early."""
        return True

    def after_loss(self, loss: Tensor) -> None:
        """The task's loss of a batch is there, a scalar without gradient; some methods compare epochs by it."""

    def penalty(self) -> Tensor | None:
        """Returns a scalar to add to the task's loss, or None."""
        return None

    def after_backward(self) -> None:
        """Gradients are there, the optimiser's step is not taken yet."""

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """The optimiser has taken its step; `optimizer` gives access to its momentum."""

    def after_epoch(self, epoch: int) -> None:
        """The epoch with this number, from 0, is over."""

    def training_cost(self) -> float:
        """Returns the cost of one training step now, in dense forward passes (3 for a dense step)."""
        return 3.0

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many nonzeros each weight it prunes may have in the end, by parameter name; None: no target."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Returns what a reader of the result must know of how it was made, a sentence each."""
        return ()

    def report(self) -> dict[str, Any]:
        """Returns what was measured on the way, as a JSON object; {} where there is nothing."""
        return {}

    def finish(self) -> nn.Module:
        """Returns the compressed network as plain modules."""
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns what a killed run needs to go on: tensors, numbers, strings, lists and dicts only."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        del state
