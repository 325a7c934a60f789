"""Runs methods × settings × seeds on one model and one task, as a sweep that can be killed and goes on.

    settle    the setting of each method under each budget, one after another
    train     the cells, as many at once as the engine can
    measure   the trained ones, one after another, when nothing trains any more

A cell is one method at one setting with one seed (see `cell`); its record is on disk as soon as a stage of it is
over (see `folder`). Calling `compare` again with the same folder runs what is missing: finished cells are read,
failed ones are tried again, and those that were under way when the run was killed go on from their checkpoints.
Several processes may work on one folder at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from gossamer import machine
from gossamer.compression.budgets import settled, timed
from gossamer.compression.cell import Cell, Work, setting_of
from gossamer.compression.engines import ENGINES
from gossamer.compression.engines import engine as make_engine
from gossamer.compression.folder import Folder
from gossamer.compression.frontier import describe_run
from gossamer.compression.method import Method
from gossamer.compression.progress import Board
from gossamer.compression.sweep import Sweep
from gossamer.cost import Budget
from gossamer.errors import FileError, SettingError, unknown
from gossamer.frontier import Frontier
from gossamer.tasks.task import Task
from gossamer.train import Interrupted, Training


def compare(
    factory: Callable[[], nn.Module],
    task: Task | Callable[[int], Task],
    methods: Mapping[str, Method],
    *,
    out: str | Path,
    sparsities: Sequence[float] = (),
    budgets: Sequence[Budget | str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    training: Training | None = None,
    names: Mapping[str, str] | None = None,
    engine: Literal["local", "inline", "ray"] = "local",
    workers: int | None = None,
    threads: int | None = None,
    accelerate: bool = True,
    latency: bool = True,
    torch_compile: bool = False,
    progress: bool = True,
) -> Frontier:
    """Compares methods on one model and one task at equal training, and writes `out/run.json`.

    Args:
        factory: Makes a fresh network; called with the cell's seed set, so that all methods start alike.
        task: The task, or a function from a seed to the task where the split depends on the seed. It and the factory
            are sent to the workers, whatever module or script they come from.
        methods: Label to method.
        out: Folder of the comparison; an earlier run there with the same settings is gone on with.
        sparsities: Values of each method's knob.
        budgets: Bounds on the cost, such as "bytes<=100k"; each method's knob is searched for under each, and every
            such cell says whether its network met the budget. A method without a knob runs once a seed, without either.
            With neither sparsities nor budgets, each method runs as it is.
        seeds: Seeds of initial weights, batches and everything else random.
        training: How each cell trains; the same for all.
        names: What to call the `data` and the `model` in the record.
        engine: "local" trains in worker processes on this machine, "inline" in this process, one cell after another,
            "ray" on a Ray cluster that is running. Everything is timed on this machine. With the same `threads`, the
            results are the same.
        workers: Cells that train at once, at most; None for as many as cores and memory allow. Never more than fit
            into memory.
        threads: Of each cell, in training and when it is timed. None trains with 1 where several cells may train at
            once, and otherwise takes PyTorch's own setting.
        accelerate: As in `compress`.
        latency: As in `compress`; a budget that bounds a measured cost has it measured.
        torch_compile: As in `compress`; of the dense network and of the network of every cell.
        progress: Show progress bars.

    Returns:
        The frontier of all cells. A cell that failed is in it with its error, and does not stop the others.

    Raises:
        SettingError: A method refuses a sparsity, there is nothing to run, or the work cannot be sent to a worker.
        FileError: `out` holds another comparison, or cannot be written.
        MissingExtraError: The engine's library is not installed.
        Interrupted: Ctrl-C; the same call goes on.
    """
    if engine not in ENGINES:
        raise SettingError(unknown("engine", engine, ENGINES))
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value}; expected at least 1, or None")
    training = Training() if training is None else training
    names = {"data": "", "model": "", **(names or {})}
    bounds = [Budget.parse(budget) if isinstance(budget, str) else budget for budget in budgets]
    folder = Folder(out)
    settings = _settings(methods, sparsities, bounds)
    if not settings or not seeds:
        raise SettingError("nothing to compare: give at least one method and one seed")
    alone = engine == "inline" or (engine == "local" and (workers or machine.cores()) == 1)
    work = Work(
        factory=factory,
        task=task,
        training=training,
        accelerate=accelerate,
        latency=latency or any(map(timed, bounds)),
        torch_compile=torch_compile,
        threads=threads or (torch.get_num_threads() if alone else 1),
        measuring_threads=threads or torch.get_num_threads(),
    )
    first = work.make_task(seeds[0])
    frontier = Frontier(run=describe_run("comparison", first, training, **names), folder=folder.path)
    with Board(progress) as board:
        board.stage("settle", total=sum(budget is not None for _, _, budget in settings))
        cells = []
        for label, method, budget in settings:
            setting = method
            if budget is not None:
                board.began(label)
                setting = settled(folder, label, method, budget, work=work, task=first, seed=seeds[0], names=names)
                board.ended(label)
            cells += [_cell(label, setting, seed=seed, budget=budget, training=training, names=names) for seed in seeds]
        sweep = Sweep(folder, cells, board)
        frontier = dataclasses.replace(frontier, cells=sweep.finished())
        frontier.save(folder.path / "run.json")  # a folder that cannot be written is found before anything is trained
        try:
            if len(frontier.cells) < len(cells):
                with make_engine(engine, work, cells, folder, at_most=workers) as runs:
                    sweep.run("train", runs)
                    sweep.run("measure", runs)
        except KeyboardInterrupt as stop:
            done = len(sweep.finished())
            raise Interrupted(
                f"the comparison was stopped, {done} of {len(cells)} cells finished; the same call goes on from there"
            ) from stop
        finally:
            sweep.release()
    frontier = dataclasses.replace(frontier, cells=tuple(sweep.records[cell.id] for cell in cells))
    try:
        frontier.save(folder.path / "run.json")
    except FileError as error:
        warnings.warn(f"{error}; the results are in what is returned", RuntimeWarning, stacklevel=2)
    return frontier


def _settings(
    methods: Mapping[str, Method], sparsities: Sequence[float], budgets: Sequence[Budget]
) -> list[tuple[str, Method, Budget | None]]:
    """Lists what each method runs as: at each sparsity, under each budget (its knob not turned yet), or as it is."""
    settings: list[tuple[str, Method, Budget | None]] = []
    for label, method in methods.items():
        turned = method.knob and (sparsities or budgets)
        settings += [(label, method.replace(**{method.knob: value}), None) for value in sparsities if turned]
        settings += [(label, method, budget) for budget in budgets if turned]
        settings += [] if turned else [(label, method, None)]
    return settings


def _cell(
    label: str, method: Method, *, seed: int, budget: Budget | None, training: Training, names: Mapping[str, str]
) -> Cell:
    text = None if budget is None else str(budget)
    what = [method.to_json(), seed, training.to_json(), dict(names), *([] if text is None else [text])]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    setting = text or (setting_of(method) if method.knob else "")
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{label}-{setting}").strip("-")
    return Cell(label=label, method=method, seed=seed, budget=budget, id=f"{readable}-seed{seed}-{digest}")
