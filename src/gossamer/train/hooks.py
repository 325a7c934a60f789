"""What the training loop calls at its five places: a `Compression`, or anything of this shape."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer


class Hooks(Protocol):
    """The places of a training loop in which something else may act on the network.

    Attributes:
        batch_size: The most examples a step takes, read before each epoch; None for what the task has.
        rate_factor: What the learning rates are multiplied by, besides their schedule, read before each epoch.
    """

    batch_size: int | None
    rate_factor: float

    @property
    def settled(self) -> bool:
        """True once the network has its final size: only then does fit keep best weights or stop early."""

    def after_loss(self, loss: Tensor) -> None:
        """The task's loss of a batch is there, a scalar without gradient."""

    def penalty(self) -> Tensor | None:
        """Returns a scalar to add to the task's loss, or None."""

    def after_backward(self) -> None:
        """Gradients are there, the optimiser's step is not taken yet."""

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """The optimiser has taken its step."""

    def after_epoch(self, epoch: int) -> None:
        """The epoch with this number, from 0, is over."""

    def training_cost(self) -> float:
        """Returns the cost of one training step now, in dense forward passes."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what a killed run needs to go on, as `save_state` takes it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; from a checkpoint, its tensors arrive on the CPU."""


class NoHooks:
    """Plain training: nothing acts on the network."""

    settled = True
    batch_size: int | None = None
    rate_factor: float = 1.0

    def after_loss(self, loss: Tensor) -> None:
        """Does nothing."""

    def penalty(self) -> Tensor | None:
        """Returns None."""
        return None

    def after_backward(self) -> None:
        """Does nothing."""

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Does nothing."""

    def after_epoch(self, epoch: int) -> None:
        """Does nothing."""

    def training_cost(self) -> float:
        """Returns 3: a forward pass and the two products of the backward pass."""
        return 3.0

    def state_dict(self) -> dict[str, Any]:
        """Returns an empty dict."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Does nothing."""
