"""Many compressed networks side by side, and the ones that no other beats.

A point is one method at one setting, its figures the means over its seeds. A point is on the frontier of a cost
when no other point is at least as good and at least as cheap, and better in one of the two. Choices are made on the
validation split; the test split is only shown.
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gossamer
from gossamer import machine
from gossamer.cost import Budget, Cost
from gossamer.errors import FileError, SettingError, unknown
from gossamer.files import read_json, write_json
from gossamer.tasks.task import Task
from gossamer.train import Training

FORMAT = 1


def describe_run(
    kind: Literal["comparison", "compression"], task: Task, training: Training, *, data: str, model: str
) -> dict[str, Any]:
    """Returns what the cells of a run share, with this machine and the time now: `Frontier.run`."""
    return {
        "format": FORMAT,
        "kind": kind,
        "data": data,
        "model": model,
        "task": task.name,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "gossamer": gossamer.__version__,
        "machine": machine.describe(),
        "training": training.to_json(),
    }


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method at one setting: means and sample standard deviations over its seeds.

    `budget` is the one that the setting was searched for, as text; None where the setting was given.
    """

    method: str
    sparsity: float | None
    budget: str | None = None
    seeds: tuple[int, ...]
    quality: float
    quality_spread: float
    validation: float
    cost: dict[str, float]
    cost_spread: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """The finished cells of a comparison.

    Attributes:
        run: What the cells share: data, model, task, metric, machine, training, creation time.
        cells: One JSON object a cell, as `Compressed.to_json` gives it, with `id`, `status` and `error`.
    """

    run: dict[str, Any]
    cells: tuple[dict[str, Any], ...] = field(default=())

    @property
    def metric(self) -> str:
        """The headline metric."""
        return str(self.run["metric"])

    def points(self) -> list[Point]:
        """Returns one point for each method and setting with at least one finished cell, in the cells' order."""
        groups: dict[tuple[str, float | str | None], list[dict[str, Any]]] = {}
        for cell in self.cells:
            if cell["status"] == "done":
                groups.setdefault((cell["method"], cell.get("budget") or cell["sparsity"]), []).append(cell)
        return [self._point(cells) for cells in groups.values()]

    def _point(self, cells: Sequence[dict[str, Any]]) -> Point:
        costs: dict[str, list[float]] = {}
        for cell in cells:
            for name, value in cell["cost"].items():
                if value is not None:
                    costs.setdefault(name, []).append(float(value))
        quality = [float(cell["quality"][self.metric]) for cell in cells]
        return Point(
            method=cells[0]["method"],
            sparsity=cells[0]["sparsity"],
            budget=cells[0].get("budget"),
            seeds=tuple(cell["seed"] for cell in cells),
            quality=statistics.fmean(quality),
            quality_spread=_spread(quality),
            validation=statistics.fmean(float(cell["validation"][self.metric]) for cell in cells),
            cost={name: statistics.fmean(values) for name, values in costs.items()},
            cost_spread={name: _spread(values) for name, values in costs.items()},
        )

    def pareto(self, cost: str = "bytes") -> list[Point]:
        """Returns the points that no other point beats in validation quality and `cost`, cheapest first.

        Raises:
            SettingError: No point has this cost.
        """
        points = self.points()
        names = {name for point in points for name in point.cost}
        if cost not in names:
            raise SettingError(unknown("cost", cost, names))
        points = sorted((point for point in points if cost in point.cost), key=lambda p: (p.cost[cost], -self._gain(p)))
        best, kept = -math.inf, []
        for point in points:
            if self._gain(point) > best:
                best = self._gain(point)
                kept.append(point)
        return kept

    def best(self, budget: Budget | None = None) -> Point:
        """Returns the point of best validation quality within the budget.

        Raises:
            SettingError: No finished point is within the budget; the message names the nearest.
        """
        points = self.points()
        if not points:
            raise SettingError("the comparison has no finished cell; look at the errors of its failed cells")
        if budget is not None:
            within = [point for point in points if budget.met_by(_as_cost(point))]
            if not within:
                near = min(points, key=lambda point: budget.excess(_as_cost(point)))
                over = ", ".join(
                    f"{name} {found:.6g} over {bound:.6g}"
                    for name, (found, bound) in budget.violations(_as_cost(near)).items()
                )
                raise SettingError(
                    f"no network is within the budget; nearest is {near.method} at {near.sparsity} ({over})"
                )
            points = within
        return max(points, key=self._gain)

    def _gain(self, point: Point) -> float:
        return point.validation if self.run["higher_is_better"] else -point.validation

    def to_json(self) -> dict[str, Any]:
        """Returns the whole comparison as a JSON object: the content of `run.json`."""
        return {**self.run, "cells": list(self.cells)}

    def save(self, path: str | Path) -> Path:
        """Writes `run.json`, whole or not at all."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Frontier:
        """Reads a `run.json`.

        Raises:
            FileError: Missing, not JSON, or not a comparison of this format.
        """
        value = read_json(path)
        if not isinstance(value, dict) or value.get("format") != 1 or not isinstance(value.get("cells"), list):
            raise FileError(f"{path}: is not a gossamer run (format 1 with cells); pass the run.json of a comparison")
        cells = value.pop("cells")
        return cls(run=value, cells=tuple(cells))


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _as_cost(point: Point) -> Cost:
    return Cost.from_json(point.cost)
