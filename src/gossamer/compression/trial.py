"""What a network would cost after a method, found without training: cost depends on the zeros, not on their places.

Where it does depend a little (an allocation that ranks weights of all layers together, a threshold), what training
makes of the network is measured at the end, and the search is made once more for a tighter bound.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from gossamer.compression.method import Method
from gossamer.compression.search import Trial
from gossamer.console import stderr
from gossamer.cost import Budget, Cost, measure
from gossamer.deploy.engine.traces import Traces
from gossamer.deploy.running import deployment, measure_deployed
from gossamer.errors import ModelError
from gossamer.tasks.task import Task
from gossamer.train import Training, fit

_RUNNING = {"macs", "latency_ms", "peak_memory_bytes"}  # what depends on the kernels that run


def untrained(
    model: nn.Module,
    task: Task,
    before: Sequence[Method],
    budget: Budget,
    *,
    training: Training | None = None,
    seed: int = 0,
    accelerate: bool = True,
) -> Callable[[Method], Cost]:
    """Returns a function from a method to what the network then costs, in the fields that the budget bounds at least.

    Args:
        model: The network; left as it is.
        task: Gives the example to measure with.
        before: Methods that come first.
        budget: Says what to measure; a bounded latency is timed until it is clear on which side of the bound it is.
        training: How to train where a method cannot do without; its epochs do not count.
        seed: Seed of everything random.
        accelerate: Measure the network as it is deployed, as in `compress`.

    Raises:
        ModelError: The model cannot be copied. The function returned raises what its method raises.
    """
    start = copied(model)
    training = (Training() if training is None else training).replace(epochs=0)
    for method in before:
        start, task = _smaller(start, task, method, training, seed)
    traces = Traces()
    bounded = set(budget.bounds())
    timed, counted = "latency_ms" in bounded, not bounded.isdisjoint(_RUNNING - {"latency_ms"})

    def cost(method: Method) -> Cost:
        small, seen = _smaller(copy.deepcopy(start), task, method, training, seed)
        example = seen.example()
        sizes = measure(_as_if_trained(small), example, latency=False)
        if bounded.isdisjoint(_RUNNING):
            return sizes
        made = deployment(small, example, engine=accelerate and timed, accelerate=accelerate and counted, traces=traces)
        found = measure_deployed(small, example, made, latency=timed, beside=False, budget=budget)
        return dataclasses.replace(found, parameters=sizes.parameters, nonzeros=sizes.nonzeros, bytes=sizes.bytes)

    return cost


def _as_if_trained(model: nn.Module) -> nn.Module:
    """Returns a copy whose biases and statistics are all different: in fresh networks they are zeros and ones."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for values in (*model.parameters(), *model.buffers()):
            if values.dim() == 1 and values.is_floating_point():
                values.copy_(torch.linspace(1.0, 2.0, len(values)))
    return model


def copied(model: nn.Module) -> nn.Module:
    """Returns a copy of a network; raises ModelError where it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be copied ({error}); detach tensors kept as attributes before compressing"
        ) from error


@contextlib.contextmanager
def trials_shown(knob: str, budget: Budget, progress: bool = True) -> Iterator[Callable[[Trial], None]]:
    """Gives a function that shows a trial on the terminal, while the search goes on."""
    if not progress:
        yield lambda trial: None
        return
    with stderr().status(f"searching {knob} for {budget}") as status:

        def show(trial: Trial) -> None:
            found = (
                [trial.error]
                if trial.cost is None
                else [f"{name} {getattr(trial.cost, name):.6g}" for name in budget.bounds()]
            )
            status.update(f"searching {knob} for {budget}: {trial.value:g} gives {', '.join(map(str, found))}")

        yield show


def _smaller(model: nn.Module, task: Task, method: Method, training: Training, seed: int) -> tuple[nn.Module, Task]:
    """Returns the network after a method, and the task that it is then made for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        run = method.start(model, task, epochs=0)
    if run.epochs:
        fit(run.model, run.task or task, training.replace(epochs=run.epochs), hooks=run, seed=seed, progress=False)
    small = run.finish()
    return small, run.task or task
