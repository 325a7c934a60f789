"""Where the steps run: one process at full precision, or whatever Lightning Fabric can arrange.

Under `torchrun` every process trains a copy of the network on its own batches and gradients are averaged.
Fabric sets that up, and mixed precision. For one process at full precision it would do nothing, and importing
it takes longer than training a small network, so there `Alone` does nothing in its place.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Engine(Protocol):
    """What the training loop asks of the place it runs in."""

    device: torch.device
    rank: int
    world_size: int
    plain: bool  # whether a loss and its gradients are computed as the parameters are, and averaged with nobody's

    def wrap(self, model: nn.Module) -> nn.Module:
        """Returns the module to call for a training loss; it shares the parameters of `model`."""

    def precision(self) -> AbstractContextManager[Any]:
        """Returns the context of a forward pass."""

    def backward(self, loss: Tensor) -> None:
        """Computes the gradients, averaged over the processes."""

    def agreed(self, value: Any) -> Any:
        """Returns the value that the first process gave; all processes must ask."""


class Alone:
    """One process, the precision of the parameters."""

    rank = 0
    world_size = 1
    plain = True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, model: nn.Module) -> nn.Module:
        """Returns `model`."""
        return model

    def precision(self) -> AbstractContextManager[Any]:
        """Returns a context that changes nothing."""
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Computes the gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def agreed(self, value: Any) -> Any:
        """Returns `value`."""
        return value


class Fabric:
    """Mixed precision, and one or more processes started by `torchrun`.

    Fabric's module wrapper is left out: it walks through, and copies, every dataclass among the inputs, such
    as a graph.
    """

    plain = False

    def __init__(self, device: torch.device, precision: str) -> None:
        from lightning.fabric import Fabric as Lightning

        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        alone = [device.index or 0] if device.type == "cuda" else 1
        with _quiet():
            self._fabric = Lightning(
                accelerator=device.type,
                devices=local if _processes() > 1 else alone,
                num_nodes=max(_processes() // local, 1),
                strategy="ddp" if _processes() > 1 else "auto",
                precision=precision,  # type: ignore[arg-type]
            )
            joined = torch.distributed.is_initialized()
            self._fabric.launch()
            if torch.distributed.is_initialized() and not joined:
                atexit.register(_leave_group)
        self.device = self._fabric.device
        self.rank = self._fabric.global_rank
        self.world_size = self._fabric.world_size

    def wrap(self, model: nn.Module) -> nn.Module:
        """Returns `model`, or the wrapper that averages its gradients over the processes."""
        return self._fabric.strategy.setup_module(model)

    def precision(self) -> AbstractContextManager[Any]:
        """Returns Fabric's autocast."""
        return self._fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        """Computes the gradients, averaged over the processes."""
        self._fabric.backward(loss)

    def agreed(self, value: Any) -> Any:
        """Returns the value of the first process."""
        return self._fabric.broadcast(value)


def engine_for(device: torch.device, precision: str) -> Engine:
    """Returns the engine for parameters on `device`, at a precision of `Training`."""
    if precision == "32-true" and _processes() == 1:
        return Alone(device)
    return Fabric(device, precision)


def _leave_group() -> None:
    """Leaves the process group: a process that ends while its threads still run is aborted."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share(batches: Iterator[Any], engine: Engine) -> Iterator[Any]:
    """Yields this process's batches, one of every `world_size`; a short last round repeats its first."""
    if engine.world_size == 1:
        yield from batches
        return
    while batch := list(itertools.islice(batches, engine.world_size)):
        yield batch[engine.rank % len(batch)]


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Fabric from announcing itself, for the time of the block."""
    loggers = [logging.getLogger(name) for name in ("lightning.fabric", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
