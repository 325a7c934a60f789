"""Compresses one network: start the method, train with its hooks, finish, accelerate, measure."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gossamer.compression.compressed import Compressed
from gossamer.compression.method import Method
from gossamer.compression.search import settle, tighter
from gossamer.compression.trial import copied, trials_shown, untrained
from gossamer.cost import Budget, Cost, measure
from gossamer.counting import count_macs
from gossamer.deploy.accelerate import Accelerated
from gossamer.deploy.accelerate import accelerate as accelerate_model
from gossamer.errors import SettingError
from gossamer.tasks.task import Task
from gossamer.train import History, Training, fit


def compress(
    model: nn.Module,
    task: Task,
    method: Method | Sequence[Method],
    *,
    training: Training | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    label: str | None = None,
    checkpoint: str | Path | None = None,
    accelerate: bool = True,
    latency: bool = True,
    progress: bool = True,
) -> Compressed:
    """Makes a smaller copy of `model`; the model itself is left untouched.

    Args:
        model: Any `nn.Module` that takes `task.example()`; trained already, or not.
        task: What the network must do.
        method: One method, or several: each starts from what the one before finished.
        training: How to train, for each method; `Training(epochs=0)` compresses without any training.
        budget: Upper bounds on the cost. The last method's knob is then searched for on networks without training
            (`settle`); should the trained network exceed a bound that its trial kept, the search and the training are
            made once more for a bound lower by as much as it cost more. Where no setting meets the budget, the nearest
            network is returned with `met_budget` False.
        seed: Seed of everything random in the run.
        label: What to call the method in results; its registered name by default.
        checkpoint: Folder for checkpoints; a killed run called again with the same arguments goes on from there.
        accelerate: Try a sparse kernel in each layer and keep those that measure faster here.
        latency: Measure latency and peak memory; off, these fields of the costs are None.
        progress: Show progress bars.

    Returns:
        The compressed network with costs and qualities before and after.

    Raises:
        ModelError: The model cannot be copied, does not fit the task, or has nothing the method could remove.
        SettingError: A budget is given and the method has no knob to turn, or the budget bounds training_macs.
        TrainingError: Training diverged.
    """
    training = Training() if training is None else training
    methods = (method,) if isinstance(method, Method) else tuple(method)
    if not methods:
        raise SettingError("no method was given; pass one, for example gossamer.method('magnitude')")

    run = functools.partial(
        _run,
        model,
        task,
        training=training,
        budget=budget,
        seed=seed,
        label=label,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        accelerate=accelerate,
        latency=latency or (budget is not None and not {"latency_ms", "peak_memory_bytes"}.isdisjoint(budget.bounds())),
        progress=progress,
    )
    if budget is None:
        return run(methods)
    *before, last = methods
    trial = untrained(model, task, before, budget, training=training, seed=seed, accelerate=accelerate)
    with trials_shown(last.knob, budget, progress) as show:
        found = settle(last, budget, trial, report=show)
    result = run((*before, found.method))
    if found.met and not budget.met_by(result.cost):  # what training made of it costs more than its trial did
        with trials_shown(last.knob, budget, progress) as show:
            again = settle(last, tighter(budget, found.cost, result.cost), trial, known=found.trials, report=show)
        if again.method != found.method:
            result = min(result, run((*before, again.method)), key=lambda one: budget.excess(one.cost))
    over = budget.violations(result.cost)
    notes = [
        f"The budget is not met; this is the nearest network found: {name} is {value:.6g}, more than {bound:.6g}."
        for name, (value, bound) in over.items()
    ]
    return dataclasses.replace(result, met_budget=not over, notes=(*result.notes, *notes))


def deployed_cost(
    model: nn.Module, example: tuple[Any, ...], *, accelerate: bool, latency: bool, budget: Budget | None = None
) -> tuple[Accelerated | None, Cost]:
    """Returns a network with its kernels, None where they are not asked for, and what it takes.

    Args:
        model: The network; left as it is.
        example: Its positional arguments.
        accelerate: Whether to try a sparse kernel in each layer.
        latency: Whether to time the network as it will run.
        budget: A latency that it bounds is timed until it is clear on which side of the bound it is.

    Returns:
        The accelerated network, and a cost with latency, MACs and memory of what runs and sizes of `model`.
    """
    accelerated = accelerate_model(model, example) if accelerate else None
    sizes = measure(model, example, latency=latency and accelerated is None, budget=budget)
    if accelerated is None:
        return None, sizes
    running = measure(accelerated.model, example, latency=latency, budget=budget)
    return accelerated, dataclasses.replace(
        running, parameters=sizes.parameters, nonzeros=sizes.nonzeros, bytes=sizes.bytes
    )


def _run(
    model: nn.Module,
    task: Task,
    methods: tuple[Method, ...],
    *,
    training: Training,
    budget: Budget | None,
    seed: int,
    label: str | None,
    checkpoint: Path | None,
    accelerate: bool,
    latency: bool,
    progress: bool,
) -> Compressed:
    small = copied(model)
    example = task.example()
    quality_before = task.evaluate(small, "test")
    cost_before = measure(small, example, latency=latency)

    histories: list[History] = []
    report: dict[str, Any] = {}
    training_macs = 0.0
    for position, method in enumerate(methods):
        step_macs = count_macs(small, example).total * task.examples_per_step()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            run = method.start(small, task, epochs=training.epochs)
        saved = None if checkpoint is None else checkpoint / f"{position}-{_digest(method, seed)}.checkpoint"
        history = fit(
            run.model,
            task,
            training.replace(epochs=run.epochs),
            hooks=run,
            seed=seed,
            checkpoint=saved,
            progress=progress,
        )
        training_macs += history.forward_passes * step_macs
        history.notes.extend(run.notes())
        histories.append(history)
        small = run.finish()
        report = run.report()

    accelerated, cost = deployed_cost(small, example, accelerate=accelerate, latency=latency, budget=budget)
    knob = methods[-1].knob
    return Compressed(
        model=small,
        accelerated=accelerated,
        label=label or "+".join(method.name for method in methods),
        methods=methods,
        seed=seed,
        requested=getattr(methods[-1], knob) if knob else None,
        quality_before=quality_before,
        quality=task.evaluate(small, "test"),
        validation=task.evaluate(small, "val"),
        cost_before=cost_before,
        cost=dataclasses.replace(cost, training_macs=training_macs),
        histories=tuple(histories),
        notes=tuple(note for history in histories for note in history.notes),
        report=report,
    )


def _digest(method: Method, seed: int) -> str:
    """Names a checkpoint by what it belongs to, so that another setting never resumes from it."""
    return hashlib.sha256(json.dumps([method.to_json(), seed]).encode()).hexdigest()[:12]
