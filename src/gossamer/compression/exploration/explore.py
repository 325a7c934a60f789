"""Searches several settings of a method at once for the networks that no other beats in quality and cost.

Every trial is a cell of a comparison: its folder is `out/cells/<id>/` with `cell.json`, `model.gossamer` and, where it
failed, `log.txt`. What was tried is kept by Optuna, in a journal in `out` or in a database, so that several processes
and machines can share one exploration, and a killed one goes on: a trial under way is run again with the values it had,
from its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from gossamer.compression.compress import compress
from gossamer.compression.exploration.space import Space, Value, label, space, with_values
from gossamer.compression.frontier import Frontier, describe_run
from gossamer.compression.method import Method
from gossamer.console import stderr
from gossamer.cost import Budget, Cost
from gossamer.errors import GossamerError, MissingExtraError, SettingError, unknown
from gossamer.files import read_json, write_json, write_text
from gossamer.tasks.task import Task
from gossamer.train import Training

_TIMED = {"latency_ms", "latency_spread_ms", "eager_latency_ms"}
_RUNNING = {*_TIMED, "macs", "peak_memory_bytes"}  # what depends on the kernels that run


def explore(
    factory: Callable[[], nn.Module],
    task: Task,
    method: Method,
    *,
    out: str | Path,
    objectives: Sequence[str] = ("bytes",),
    trials: int = 50,
    seed: int = 0,
    training: Training | None = None,
    budget: Budget | str | None = None,
    ranges: Mapping[str, Sequence[Value]] | None = None,
    storage: str | None = None,
    name: str | None = None,
    names: Mapping[str, str] | None = None,
    accelerate: bool = True,
    progress: bool = True,
) -> Frontier:
    """Looks for the settings of a method whose networks are best in validation quality and in some costs at once.

    Called again, or by several processes, with the same arguments it goes on with the same exploration. A cost that is
    measured by the clock is disturbed by what else runs on the machine: explore latency with one process a machine.

    Args:
        factory: Makes a fresh network; called with the seed set, so that all trials start alike.
        task: What the network must do.
        method: Its `knob` and `knobs` are varied.
        out: Folder of the exploration.
        objectives: Fields of `Cost` to make small, beside making the validation quality good.
        trials: How many to run in all, those of earlier calls and of other processes counted in.
        seed: Seed of the networks, the training, and of what is tried.
        training: How each trial trains.
        budget: Networks beyond it are marked, and the search turns away from them.
        ranges: Other ranges of fields than their own: (low, high), or the values to choose from.
        storage: URL of a database that Optuna knows, for machines that share no folder; None for a file in `out`.
        name: What to call the method; its class's name by default.
        names: The `data` and the `model` in the record.
        accelerate: As in `compress`.
        progress: Show a progress bar.

    Returns:
        The frontier of all trials finished so far; each is a point. `out/run.json` holds the same.

    Raises:
        MissingExtraError: Optuna is not installed.
        SettingError: An objective, range or budget does not read, or there is nothing to vary.
        FileError: `out` holds another exploration, or cannot be written.
        Interrupted: Ctrl-C; the same call goes on.
    """
    try:
        from gossamer.compression.exploration.study import Shared
    except ImportError as error:
        raise MissingExtraError(
            f"exploring needs Optuna 5 or later, which cannot be imported ({error}); install gossamer[search]"
        ) from error
    fields = [name for name in Cost.__dataclass_fields__ if name != "runs_on"]
    for objective in objectives:
        if objective not in fields:
            raise SettingError(unknown("objective", objective, fields))
    if not objectives or len(set(objectives)) < len(objectives):
        raise SettingError(f"objectives are {list(objectives)}; expected fields of a cost, each once")
    if trials < 1:
        raise SettingError(f"trials is {trials}; expected at least 1")
    budget = Budget.parse(budget) if isinstance(budget, str) else budget
    plan = _Plan(
        factory=factory,
        task=task,
        method=method,
        out=Path(out),
        objectives=tuple(objectives),
        space=space(method, ranges),
        seed=seed,
        training=Training() if training is None else training,
        budget=budget,
        name=method.name if name is None else name,
        names={"data": "", "model": "", **(names or {})},
        accelerate=accelerate,
    )
    run = describe_run("comparison", task, plan.training, **plan.names)
    Frontier(run=run).save(plan.out / "run.json")  # a folder that cannot be written is found before anything is trained
    directions: list[Literal["minimize", "maximize"]] = ["minimize"] * (1 + len(objectives))
    if task.higher_is_better:
        directions[0] = "maximize"
    shared = Shared(
        plan.out,
        f"gossamer-{plan.digest()}",
        directions,
        plan.space,
        trials=trials,
        seed=seed,
        storage=storage,
    )
    with shared.working(), _bar(progress) as bar:
        row = bar.add_task("exploring", total=trials, completed=len(shared.finished()), now="")
        while (drawn := shared.next()) is not None:
            trial, values = drawn
            bar.update(row, now=", ".join(f"{key} {value}" for key, value in values.items()))
            record = plan.run(values)
            shared.tell(trial, record, _values(record, task.metric, objectives), _excess(budget, record))
            bar.update(row, completed=len(shared.finished()))
    cells = {cell["id"]: cell for cell in shared.cells()}
    frontier = Frontier(run=run, cells=tuple(cells.values()), folder=plan.out)
    frontier.save(plan.out / "run.json")
    return frontier


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What all trials of an exploration share."""

    factory: Callable[[], nn.Module]
    task: Task
    method: Method
    out: Path
    objectives: tuple[str, ...]
    space: Space
    seed: int
    training: Training
    budget: Budget | None
    name: str
    names: dict[str, str]
    accelerate: bool

    def digest(self) -> str:
        """Says what an exploration is: another digest, another exploration."""
        return _digest(
            self.method.to_json(),
            {key: vars(dimension) for key, dimension in self.space.items()},
            self.objectives,
            self.seed,
            self.training.to_json(),
            str(self.budget),
            self.names,
            self.task.name,
        )

    def run(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Returns the record of the cell at these values, which is run unless it is finished."""
        called = label(self.name, self.method, values)
        digest = _digest(called, dict(values), self.digest())
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", called).strip("-")[:60]
        cell = f"{readable}-seed{self.seed}-{digest}"
        folder = self.out / "cells" / cell
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "cell.json"
        with FileLock(folder / "lock"):  # two processes may draw the same values
            if path.exists() and (found := read_json(path)).get("status") == "done":
                return found  # type: ignore[no-any-return]
            start = time.perf_counter()
            try:
                record = self._train(with_values(self.method, values), called, folder)
            except (GossamerError, RuntimeError, MemoryError) as error:
                write_text(folder / "log.txt", traceback.format_exc())
                record = {
                    "settings": [self.method.to_json()],
                    "sparsity": values.get(self.method.knob, 0.0),
                    "quality": {},
                    "cost": None,
                    "status": "failed",
                    "error": f"{type(error).__name__}: {error}".splitlines()[0],
                    "log": f"cells/{cell}/log.txt",
                }
            record |= {
                "id": cell,
                "method": called,
                "seed": self.seed,
                "values": dict(values),
                "budget": None if self.budget is None else str(self.budget),
                "seconds": {"train": time.perf_counter() - start},
            }
            write_json(path, record)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return record

    def _train(self, method: Method, called: str, folder: Path) -> dict[str, Any]:
        wanted = {*self.objectives, *({} if self.budget is None else self.budget.bounds())}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = self.factory()
        result = compress(
            model,
            self.task,
            method,
            training=self.training,
            seed=self.seed,
            label=called,
            checkpoint=folder / "checkpoints",
            accelerate=self.accelerate and not _RUNNING.isdisjoint(wanted),
            latency=not _TIMED.isdisjoint(wanted),
            progress=False,
        )
        result.save(folder / "model.gossamer")
        met = None if self.budget is None else self.budget.met_by(result.cost)
        record = result.to_json()
        return record | {"sparsity": record["sparsity"] or 0.0, "status": "done", "error": None, "met_budget": met}


def _values(record: dict[str, Any], metric: str, objectives: Sequence[str]) -> list[float] | None:
    """Returns validation quality and costs; None where the cell failed or one of them is no number."""
    if record["status"] != "done":
        return None
    found = [record["validation"][metric], *(record["cost"][name] for name in objectives)]
    return found if all(value is not None and math.isfinite(value) for value in found) else None


def _excess(budget: Budget | None, record: dict[str, Any]) -> dict[str, float]:
    """Returns by how much each bound is exceeded, relative to it; at most 0 where it is kept."""
    if budget is None or record["status"] != "done":
        return {}
    cost = Cost.from_json(record["cost"])
    return {name: min(Budget(**{name: bound}).excess(cost), 1e9) for name, bound in budget.bounds().items()}


def _digest(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]


def _bar(progress: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
        console=stderr(),
        disable=not progress,
        transient=True,
    )
