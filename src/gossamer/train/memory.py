"""How much memory a training step takes: what its parts add up to, and what the allocator really gave.

    by parts    P · (2 + m) + B · (A + x)
    measured    the most that was alive at one time in a step, as the allocator saw it

In bytes, P is what parameters and buffers take, once more for gradients and m times for what the optimiser keeps; for
each of B examples, A is what the forward pass keeps for the backward pass, and x the example itself.

The step is taken by a copy of network and optimiser, so training does not notice.
"""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile

from gossamer.tasks.task import Task
from gossamer.train.randomness import seeded


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """What one training step takes, in bytes.

    Attributes:
        parameters: Of parameters and buffers.
        gradients: Of the gradients of what is trained.
        optimizer: Of what the optimiser remembers.
        activations: Kept by the forward pass for the backward pass, without parameters and the batch.
        batch: Of the batch; of a task whose steps take all there is, of its data.
        examples: How many examples the batch holds; 1 where that is not known.
        measured: The most that was alive at one time in a real step: parameters, what the optimiser remembers, the
            batch, and whatever the allocator gave in the course of the step.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    batch: int
    examples: int
    measured: int

    @property
    def by_parts(self) -> int:
        """The sum of the parts."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.batch

    @property
    def per_example(self) -> float:
        """What one more example adds to the sum."""
        return (self.activations + self.batch) / self.examples

    def largest_batch(self, memory: float, most: int) -> int:
        """Returns how many examples, from 1 to `most`, keep the sum of the parts within `memory` bytes."""
        left = memory - self.parameters - self.gradients - self.optimizer
        return int(min(max(left / self.per_example, 1), most))


def step_memory(model: nn.Module, task: Task, optimizer: Optimizer) -> StepMemory:
    """Measures a training step on the first batch of the task.

    Args:
        model: The network, in training.
        task: Gives the batch; its `batch_size` says how many examples a step takes.
        optimizer: That trains the network; one that has not stepped yet is measured after its first step.
    """
    device = next(model.parameters()).device
    model, optimizer = copy.deepcopy((model, optimizer))
    model.train()
    with seeded(0, device):
        batch = next(iter(task.batches("train")))
        if not optimizer.state:
            _step(model, task, batch, optimizer)
        optimizer.zero_grad()
        parameters = _bytes([*model.parameters(), *model.buffers()])
        remembered = _bytes([value for state in optimizer.state.values() for value in state.values()])
        data = list(_tensors(batch if task.batch_size is not None else (batch, task.example())))
        shown = _bytes(data)
        kept = _kept(model, task, batch, data)
        optimizer.zero_grad()
        with _watched(device) as seen:
            _step(model, task, batch, optimizer)
    return StepMemory(
        parameters=parameters,
        gradients=_bytes([parameter.grad for parameter in model.parameters()]),
        optimizer=remembered,
        activations=kept,
        batch=shown,
        examples=_examples(task, batch),
        measured=parameters + remembered + shown + seen[0],
    )


def _step(model: nn.Module, task: Task, batch: Any, optimizer: Optimizer) -> None:
    optimizer.zero_grad()
    task.loss(model, batch).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _kept(model: nn.Module, task: Task, batch: Any, data: Sequence[Tensor]) -> int:
    """Returns the bytes that a forward pass keeps for the backward pass."""
    known = {_address(tensor) for tensor in (*model.parameters(), *model.buffers(), *data)}
    found: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if _address(tensor) not in known:
            found[_address(tensor)] = tensor.detach()  # held, so that no other takes its address
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = task.loss(model, batch)
        kept = _bytes(found.values())
    del loss
    return kept


@contextmanager
def _watched(device: torch.device) -> Iterator[list[int]]:
    """Gives a list whose one entry is, after the block, the most bytes that were allocated in it at one time."""
    seen = [0]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield seen
        torch.cuda.synchronize(device)
        seen[0] = torch.cuda.max_memory_allocated(device) - before
        return
    gc.collect()  # what is freed in the block was allocated in it
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        yield seen
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        seen[0] = max(seen[0], now)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the profiler from announcing itself on the terminal."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    os.environ["KINETO_LOG_LEVEL"] = "99"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KINETO_LOG_LEVEL"]
        else:
            os.environ["KINETO_LOG_LEVEL"] = before


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yields the tensors in tuples, lists, dicts, and objects that keep them, such as graphs."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "__dict__") and not isinstance(value, type | nn.Module):
        yield from _tensors(dict(vars(value)))


def _bytes(tensors: Iterable[Any]) -> int:
    """Returns the bytes of the memory of tensors, what they share once."""
    storages = {
        _address(tensor): tensor.untyped_storage().nbytes()
        for tensor in tensors
        if isinstance(tensor, Tensor) and tensor.layout == torch.strided
    }
    return sum(storages.values())


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0


def _examples(task: Task, batch: Any) -> int:
    """Returns how many examples a batch has: the rows of its last tensor, else what the task says, else 1."""
    if task.batch_size is None:
        return 1
    last = batch[-1] if isinstance(batch, tuple | list) and batch else None
    return len(last) if isinstance(last, Tensor) and last.dim() else task.batch_size
