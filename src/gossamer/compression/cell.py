"""One cell of a comparison, a method at one setting with one seed: what it is, and how it runs in any process.

A cell runs in two stages. `train` leaves the network in the cell's folder and returns its record, without times;
`measure` reads both back, chooses kernels and takes the times. Between the two lies whatever else has to be trained,
so that no time is taken while another cell trains. All that is random in a cell follows from its seed, whichever
process runs it and whatever ran there before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from gossamer.compression.compress import compress, deployed_cost, deployment_notes
from gossamer.compression.compressed import layer_table
from gossamer.compression.method import Method
from gossamer.cost import Budget, Cost
from gossamer.deploy.store import load, load_task
from gossamer.errors import ModelError
from gossamer.files import read_json
from gossamer.tasks.task import Task
from gossamer.timing import using_threads
from gossamer.train import Training
from gossamer.train.randomness import seeded

Stage = Literal["train", "measure"]
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method at one setting with one seed.

    Attributes:
        label: What the caller calls the method.
        method: Its settings, the knob turned already.
        seed: Of everything random.
        budget: The budget that the knob was turned for; None where the setting was given.
        id: Names the cell's folder; all of the above decide it, and the training.
    """

    label: str
    method: Method
    seed: int
    budget: Budget | None
    id: str

    def __str__(self) -> str:
        setting = f" {setting_of(self.method)}" if self.method.knob else ""
        return f"{self.label}{setting} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all cells share: it goes to every process that runs any of them.

    Attributes:
        factory, task, training, accelerate, latency, torch_compile: As in `compare`.
        threads: Of training.
        measuring_threads: Of choosing kernels and taking times.
    """

    factory: Callable[[], nn.Module]
    task: Task | Callable[[int], Task]
    training: Training
    accelerate: bool
    latency: bool
    threads: int
    measuring_threads: int
    torch_compile: bool = False

    @property
    def measures(self) -> bool:
        """Whether there is anything to do once a cell is trained."""
        return self.accelerate or self.latency

    def make_task(self, seed: int) -> Task:
        """Returns the task of a seed."""
        if isinstance(self.task, Task):
            return self.task
        with seeded(seed, torch.device("cpu")):
            return self.task(seed)

    def make_model(self, seed: int) -> nn.Module:
        """Returns a fresh network, the same for the same seed."""
        with seeded(seed, torch.device("cpu")):
            return self.factory()


class Runner:
    """Runs cells in this process, one after another; makes the task of a seed once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: dict[int, Task] = {}
        self._before: dict[int, Cost] = {}

    def run(self, stage: Stage, cell: Cell, folder: Path) -> Record:
        """Takes one cell through one stage.

        Args:
            stage: "train" returns a record with the status "trained" ("done" where nothing is measured), "measure"
                one that is "done".
            cell: Which.
            folder: The cell's own; holds checkpoints and the log, and the network once it is trained.

        Returns:
            The cell's record. Whatever goes wrong is in it, with the status "failed"; the log has the traceback.
        """
        begun = time.perf_counter()
        log = Log(folder)
        log.write(f"{stage}: {cell}, process {os.getpid()}")
        try:
            with seeded(cell.seed, torch.device("cpu")):
                record = self._train(cell, folder) if stage == "train" else self._measure(cell, folder)
            record["seconds"] = {"train": None, "measure": None, **record["seconds"]}
            record["seconds"][stage] = time.perf_counter() - begun
            json.dumps(record, allow_nan=False)  # what cannot be written is found where it can still be said
        except Exception as error:
            log.write(traceback.format_exc())
            return failed(cell, f"{type(error).__name__}: {error}")
        log.write(f"{record['status']} in {record['seconds'][stage]:.3g} s, {_qualities(record)}")
        return record

    def _train(self, cell: Cell, folder: Path) -> Record:
        work = self._work
        with using_threads(work.threads):
            result = compress(
                work.make_model(cell.seed),
                self._task(cell.seed),
                cell.method,
                training=work.training,
                seed=cell.seed,
                label=cell.label,
                checkpoint=folder / "checkpoints",
                accelerate=False,
                latency=False,
                progress=False,
            )
            result.save(folder / "model.gossamer")
        record = result.to_json()
        return {
            **record,
            "id": cell.id,
            "sparsity": record["sparsity"] or 0.0,
            "status": "trained" if work.measures else "done",
            "error": None,
            "seconds": {},
            "budget": None if cell.budget is None else str(cell.budget),
            **({} if work.measures else _verdict(cell, result.cost, record["notes"])),
        }

    def _measure(self, cell: Cell, folder: Path) -> Record:
        work = self._work
        record: Record = read_json(folder / "cell.json")
        sizes = Cost.from_json(record["cost"])
        fresh = work.make_model(cell.seed)
        try:
            model = load(folder / "model.gossamer", fresh)
        except ModelError as error:
            notes = [*record["notes"], f"The network was not timed, as its file does not load: {error}"]
            return {**record, "status": "done", "notes": notes}
        task = self._task(cell.seed)
        seen = load_task(folder / "model.gossamer", task)
        measuring: dict[str, Any] = {
            "accelerate": work.accelerate,
            "latency": work.latency,
            "torch_compile": work.torch_compile,
        }
        with using_threads(work.measuring_threads):
            if cell.seed not in self._before:
                _, self._before[cell.seed] = deployed_cost(fresh, task.example(), dense=True, **measuring)
            made, cost = deployed_cost(model, seen.example(), budget=cell.budget, **measuring)
        cost = dataclasses.replace(cost, training_macs=sizes.training_macs)
        notes = [*record["notes"], *deployment_notes(made, cost)]
        return {
            **record,
            "status": "done",
            "cost_before": self._before[cell.seed].to_json(),
            "cost": cost.to_json(),
            "layers": layer_table(model, made.accelerated, made.engine),
            "notes": notes,
            **_verdict(cell, cost, notes),
        }

    def _task(self, seed: int) -> Task:
        if seed not in self._tasks:
            self._tasks[seed] = self._work.make_task(seed)
        return self._tasks[seed]


def failed(cell: Cell, error: str) -> Record:
    """Returns the record of a cell that ended with this error; its first line is kept, the log has the rest."""
    return {
        "id": cell.id,
        "method": cell.label,
        "seed": cell.seed,
        "status": "failed",
        "error": (error.splitlines() or [""])[0],
        "log": f"cells/{cell.id}/{Log.NAME}",
        "sparsity": getattr(cell.method, cell.method.knob) if cell.method.knob else 0.0,
        "budget": None if cell.budget is None else str(cell.budget),
        "met_budget": None,
        "settings": [cell.method.to_json()],
        "quality": {},
        "cost": None,
    }


def setting_of(method: Method) -> str:
    """Returns the value of a method's knob as people read it."""
    return f"{getattr(method, method.knob):g}"


class Log:
    """What a cell says, line by line with the time; a line that cannot be written is lost, and nothing else is."""

    NAME = "log.txt"

    def __init__(self, folder: Path) -> None:
        self.path = folder / self.NAME

    def write(self, text: str) -> None:
        """Adds a line, or several."""
        now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(f"{now} {text.rstrip()}\n")


def _verdict(cell: Cell, cost: Cost, notes: list[str]) -> Record:
    """Says whether the final cost is within the cell's budget, and by how much not."""
    if cell.budget is None:
        return {}
    over = cell.budget.violations(cost)
    said = [
        f"The budget is not met; this is the nearest network found: {name} is {found:.6g}, more than {bound:.6g}."
        for name, (found, bound) in over.items()
    ]
    return {"met_budget": not over, "notes": [*notes, *said]}


def _qualities(record: Record) -> str:
    parts = (("test", record["quality"]), ("validation", record["validation"]))
    return ", ".join(f"{part} {name} {value:.4g}" for part, values in parts for name, value in values.items())
