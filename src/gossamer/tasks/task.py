"""What a network must do: data, loss and a headline metric, whatever the model is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

Split = Literal["train", "val", "test"]


class Task(ABC):
    """Data + loss + headline metric. Splits are "train", "val" and "test"."""

    name: str
    metric: str
    higher_is_better: bool = True

    @abstractmethod
    def steps(self) -> int:
        """Returns the number of training steps an epoch, at least 1."""

    @abstractmethod
    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        """Yields the batches of a split; the order of "train" depends on (seed, epoch) and nothing else."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns the scalar training loss of a batch.

        Raises:
            ModelError: The model's output does not match the task (shapes are named).
        """

    @abstractmethod
    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns metric name to value, the headline metric first.

        Runs in eval mode without gradients and leaves the model's mode as it was.
        """

    @abstractmethod
    def example(self) -> tuple[Any, ...]:
        """Returns positional arguments of the model, as one prediction call gets them."""

    @abstractmethod
    def examples_per_step(self) -> float:
        """Returns how many `example()`-sized inputs one training step processes on average."""

    def dimensions(self) -> dict[str, int]:
        """Returns the sizes that a network for this task needs, as keywords of the zoo's constructors.

        None where the task does not say.
        """
        return {}

    def stages(self) -> dict[str, float]:
        """Returns what making the task took by stage, in seconds; nothing where there are no stages."""
        return {}

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its tensors on `device`."""
