"""Compresses one network: start the method, train with its hooks, finish, deploy, measure."""

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
from gossamer.cost import PYTORCH, Budget, Cost
from gossamer.counting import count_macs
from gossamer.deploy.running import Deployment, deployment, measure_deployed
from gossamer.errors import SettingError
from gossamer.graph import KeptEdges
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
    torch_compile: bool = False,
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
        accelerate: Deploy the network: on the engine where it compiles it, and in PyTorch with a sparse kernel in
            each layer that has a faster one. Off, it is measured as PyTorch runs it.
        latency: Measure latency, both ways; off, the latencies of the costs are None.
        torch_compile: Measure the latency under `torch.compile` too, of the network that came in and of the
            compressed one; it takes seconds to minutes for each. No search does so.
        progress: Show progress bars.

    Returns:
        The compressed network with costs and qualities before and after.

    Raises:
        ModelError: The model cannot be copied, does not fit the task, or has nothing the method could remove.
        SettingError: A budget is given and the method has no knob to turn, or the budget bounds training_macs.
        DataError: The task was given edges (`Task.on_graphs`) that its graph had not.
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
        torch_compile=torch_compile,
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
    model: nn.Module,
    example: tuple[Any, ...],
    *,
    accelerate: bool,
    latency: bool,
    torch_compile: bool = False,
    dense: bool = False,
    budget: Budget | None = None,
) -> tuple[Deployment, Cost]:
    """Returns a network as it is deployed, and what it takes.

    Args:
        model: The network; left as it is.
        example: Its positional arguments.
        accelerate: Whether to deploy it at all, or to measure it as PyTorch runs it.
        latency: Whether to time it.
        torch_compile: Whether to time it under `torch.compile` too.
        dense: Whether the network is what others are compared with: PyTorch gets sparse kernels only where there is no
            engine for it, so that MACs and memory are those of the network as it came in.
        budget: A latency that it bounds is timed until it is clear on which side of the bound it is.
    """
    made = deployment(model, example, engine=accelerate and latency, accelerate=accelerate and not dense)
    return made, measure_deployed(model, example, made, latency=latency, torch_compile=torch_compile, budget=budget)


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
    torch_compile: bool,
    progress: bool,
) -> Compressed:
    small = copied(model)
    example = task.example()
    _kept_edges(task)  # which edges they are can be said, or nothing is trained
    quality_before = task.evaluate(small, "test")
    measuring: dict[str, Any] = {"accelerate": accelerate, "latency": latency, "torch_compile": torch_compile}
    _, cost_before = deployed_cost(small, example, dense=True, **measuring)

    histories: list[History] = []
    report: dict[str, Any] = {}
    training_macs = 0.0
    seen = task  # by the network as it is: a method may remove edges of the graph
    for position, method in enumerate(methods):
        step_macs = _step_macs(small, seen)  # before layers are replaced
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            run = method.start(small, seen, epochs=training.epochs)
        during = run.task or seen
        if run.task is not None:
            step_macs = _step_macs(small, run.task)
        saved = None if checkpoint is None else checkpoint / f"{position}-{_digest(method, seed)}.checkpoint"
        history = fit(
            run.model,
            during,
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
        seen = run.task or seen

    made, cost = deployed_cost(small, seen.example(), budget=budget, **measuring)
    knob = methods[-1].knob
    return Compressed(
        model=small,
        task=seen,
        kept_edges=_kept_edges(seen),
        accelerated=made.accelerated,
        engine=made.engine,
        label=label or "+".join(method.name for method in methods),
        methods=methods,
        seed=seed,
        requested=getattr(methods[-1], knob) if knob else None,
        quality_before=quality_before,
        quality=seen.evaluate(small, "test"),
        validation=seen.evaluate(small, "val"),
        cost_before=cost_before,
        cost=dataclasses.replace(cost, training_macs=training_macs),
        histories=tuple(histories),
        notes=(*(note for history in histories for note in history.notes), *deployment_notes(made, cost)),
        report=report,
    )


def deployment_notes(made: Deployment, cost: Cost) -> list[str]:
    """Returns what a reader must know of how a network runs, a sentence each."""
    if cost.latency_ms is None or cost.eager_latency_ms is None or made.runs_on == PYTORCH:
        return []
    notes = [f"It runs on {made.runs_on}: {made.reason}."] if made.reason else []
    if cost.eager_latency_ms < cost.latency_ms:
        notes.append(
            f"PyTorch runs it faster here than the {made.runs_on}: {cost.eager_latency_ms:.3g} ms as it is, against "
            f"{cost.latency_ms:.3g} ms."
        )
    return notes


def _step_macs(model: nn.Module, task: Task) -> float:
    """Returns the multiply-accumulates of a forward pass of one training step."""
    return count_macs(model, task.example()).total * task.examples_per_step()


def _kept_edges(task: Task) -> KeptEdges | None:
    """Returns which edges of the whole graph a task has; None where it is on the whole graph.

    Raises:
        DataError: It has an edge that the whole graph has not.
    """
    return None if task.whole is None else KeptEdges.between(task.whole.graphs(), task.graphs())


def _digest(method: Method, seed: int) -> str:
    """Names a checkpoint by what it belongs to, so that another setting never resumes from it."""
    return hashlib.sha256(json.dumps([method.to_json(), seed]).encode()).hexdigest()[:12]
