"""Runs methods × settings × seeds on one model and one task, each cell on disk before the next starts.

A cell is one method at one setting with one seed. Its folder is `out/cells/<id>/`: `cell.json` once it is finished
or failed, `model.gossamer` with its network, `run.checkpoint` while it trains. Calling `compare` again with the same
folder runs what is missing: finished cells are read, failed ones are tried again, and the one that was under way
when the run was killed goes on from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import nn

from gossamer.compression.compress import compress
from gossamer.compression.frontier import Frontier, describe_run
from gossamer.compression.method import Method
from gossamer.console import stderr
from gossamer.errors import FileError, GossamerError, SettingError
from gossamer.files import read_json, write_json
from gossamer.tasks.task import Task
from gossamer.train import Training


@dataclass(frozen=True)
class _Cell:
    """One method at one setting with one seed, and the id that all of these decide."""

    label: str
    method: Method
    seed: int
    id: str


def compare(
    factory: Callable[[], nn.Module],
    task: Task | Callable[[int], Task],
    methods: Mapping[str, Method],
    *,
    out: str | Path,
    sparsities: Sequence[float] = (),
    seeds: Sequence[int] = (0, 1, 2),
    training: Training | None = None,
    names: Mapping[str, str] | None = None,
    accelerate: bool = True,
    latency: bool = True,
    progress: bool = True,
) -> Frontier:
    """Compares methods on one model and one task at equal training, and writes `out/run.json`.

    Args:
        factory: Makes a fresh network; called with the cell's seed set, so that all methods start alike.
        task: The task, or a function from a seed to the task where the split depends on the seed.
        methods: Label to method.
        out: Folder of the comparison; an earlier run there with the same settings is gone on with.
        sparsities: Values of each method's knob; a method without a knob runs once a seed. Empty: each method as is.
        seeds: Seeds of initial weights, batches and everything else random.
        training: How each cell trains; the same for all.
        names: What to call the `data` and the `model` in the record.
        accelerate: As in `compress`.
        latency: As in `compress`.
        progress: Show progress bars.

    Returns:
        The frontier of all cells. A cell that failed is in it with its error, and does not stop the others.

    Raises:
        SettingError: A method refuses a sparsity, or there is nothing to run.
        FileError: `out` holds another comparison, or cannot be written.
        Interrupted: Ctrl-C; the same call goes on.
    """
    training = Training() if training is None else training
    names = {"data": "", "model": "", **(names or {})}
    out = Path(out)
    cells = _plan(methods, sparsities, seeds, training, names)
    make_task = (lambda seed: task) if isinstance(task, Task) else task
    tasks: dict[int, Task] = {}
    first = tasks[cells[0].seed] = make_task(cells[0].seed)

    frontier = Frontier(
        run=describe_run("comparison", first, training, **names),
        cells=tuple(record for cell in cells if (record := _finished(out, cell)) is not None),
        folder=out,
    )
    frontier.save(out / "run.json")  # a folder that cannot be written is found before anything is trained
    records: list[dict[str, Any]] = []
    with _bar(progress) as bar:
        row = bar.add_task("comparing", total=len(cells), now="")
        for cell in cells:
            bar.update(row, now=f"{cell.label} {'' if not cell.method.knob else _knob(cell.method)} seed {cell.seed}")
            record = _finished(out, cell)
            if record is None:
                if cell.seed not in tasks:
                    tasks[cell.seed] = make_task(cell.seed)
                folder = out / "cells" / cell.id
                record = _run(cell, factory, tasks[cell.seed], folder, training, accelerate=accelerate, latency=latency)
                write_json(folder / "cell.json", record)
            records.append(record)
            bar.advance(row)
    frontier = dataclasses.replace(frontier, cells=tuple(records))
    frontier.save(out / "run.json")
    return frontier


def _plan(
    methods: Mapping[str, Method],
    sparsities: Sequence[float],
    seeds: Sequence[int],
    training: Training,
    names: Mapping[str, str],
) -> list[_Cell]:
    """Lists the cells; every setting is checked here, before anything runs."""
    cells = []
    for label, method in methods.items():
        settings = [method.replace(**{method.knob: value}) for value in sparsities] if method.knob else []
        for setting in settings or [method]:
            for seed in seeds:
                what = json.dumps([setting.to_json(), seed, training.to_json(), dict(names)], sort_keys=True)
                digest = hashlib.sha256(what.encode()).hexdigest()[:8]
                knob = f"-{_knob(setting)}" if setting.knob else ""
                readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{label}{knob}").strip("-")
                cells.append(_Cell(label, setting, seed, f"{readable}-seed{seed}-{digest}"))
    if not cells:
        raise SettingError("nothing to compare: give at least one method and one seed")
    return cells


def _knob(method: Method) -> str:
    return f"{getattr(method, method.knob):g}"


def _finished(out: Path, cell: _Cell) -> dict[str, Any] | None:
    """Returns the record of a finished cell; None where it is missing or failed and has to run."""
    path = out / "cells" / cell.id / "cell.json"
    if not path.exists():
        return None
    record = read_json(path)
    if not isinstance(record, dict) or "status" not in record:
        raise FileError(f"{path}: is not a cell of a comparison; choose another output folder")
    return record if record["status"] == "done" else None


def _run(
    cell: _Cell,
    factory: Callable[[], nn.Module],
    task: Task,
    folder: Path,
    training: Training,
    *,
    accelerate: bool,
    latency: bool,
) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.seed)
        model = factory()
    checkpoints = folder / "checkpoints"
    identity = {"id": cell.id, "method": cell.label, "seed": cell.seed}
    try:
        result = compress(
            model,
            task,
            cell.method,
            training=training,
            seed=cell.seed,
            label=cell.label,
            checkpoint=checkpoints,
            accelerate=accelerate,
            latency=latency,
            progress=False,
        )
        result.save(folder / "model.gossamer")
    except (GossamerError, RuntimeError, MemoryError) as error:
        requested = getattr(cell.method, cell.method.knob) if cell.method.knob else 0.0
        return {
            **identity,
            "status": "failed",
            "error": f"{type(error).__name__}: {error}".splitlines()[0],
            "sparsity": requested,
            "settings": [cell.method.to_json()],
            "quality": {},
            "cost": None,
        }
    shutil.rmtree(checkpoints, ignore_errors=True)
    record = result.to_json()
    return {**record, **identity, "sparsity": record["sparsity"] or 0.0, "status": "done", "error": None}


def _bar(progress: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
        console=stderr(),
        disable=not progress,
        transient=True,
    )
