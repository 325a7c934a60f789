"""Turns the cells of a run into points: one per method and sparsity, averaged over seeds.

A run file holds one cell per (method, sparsity, seed). People compare methods, not seeds, so every figure of
a report is the mean over seeds with the sample standard deviation beside it; cells that failed are listed,
never averaged.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gossamer import units
from gossamer.errors import DataError
from gossamer.files import read_json

DENSE = "dense"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean and the sample standard deviation of `count` values; no deviation for a single one."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Returns the spread of the values, of which there is at least one."""
        numbers = [float(value) for value in values]
        deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
        return cls(mean=statistics.fmean(numbers), deviation=deviation, count=len(numbers))


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A cost that networks are compared by: its key in a cell, what it is called, how it is written."""

    key: str
    title: str
    write: Callable[[float], str]
    fewer: str  # how a ratio of it reads, after "9.1×"
    measured: bool = False  # by a clock rather than by counting


AXES = (
    Axis(key="bytes", title="Stored size", write=lambda v: units.count(v, "B"), fewer="fewer bytes"),
    Axis(key="macs", title="Multiply-accumulates", write=units.count, fewer="fewer multiply-accumulates"),
    Axis(key="latency_ms", title="Latency", write=units.milliseconds, fewer="faster", measured=True),
    Axis(key="nonzeros", title="Nonzero parameters", write=units.count, fewer="fewer nonzeros"),
    Axis(
        key="training_macs",
        title="Training multiply-accumulates",
        write=units.count,
        fewer="cheaper training",
    ),
    Axis(
        key="peak_memory_bytes",
        title="Peak memory",
        write=lambda v: units.count(v, "B"),
        fewer="less memory",
        measured=True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """What the seeds of one (method, sparsity) share."""

    method: str
    sparsity: float | None
    quality: Spread  # on the test split
    validation: Spread  # the same metric on the validation split, which choices are made on
    costs: dict[str, Spread]
    cells: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def label(self) -> str:
        """The method and its sparsity, for people."""
        return f"{self.method} {units.percent(self.sparsity)}" if self.sparsity else self.method


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A run file, averaged over seeds."""

    run: dict[str, Any] = field(repr=False)
    points: tuple[Point, ...]
    baseline: Point | None  # the dense network
    failed: tuple[dict[str, Any], ...]

    @property
    def metric(self) -> str:
        """The headline metric."""
        return str(self.run["metric"])

    @property
    def higher_is_better(self) -> bool:
        """Whether more of the metric is better."""
        return bool(self.run.get("higher_is_better", True))

    @property
    def methods(self) -> list[str]:
        """The methods in the order of the run, without the dense network."""
        return list(dict.fromkeys(point.method for point in self.points if point is not self.baseline))

    @property
    def axes(self) -> list[Axis]:
        """The costs that at least one point has."""
        return [axis for axis in AXES if any(axis.key in point.costs for point in self.points)]

    def pareto(self, key: str) -> list[Point]:
        """Returns the points that no other point beats in quality and this cost at once, cheapest first."""
        sign = 1.0 if self.higher_is_better else -1.0
        ranked = sorted(
            (point for point in self.points if key in point.costs),
            key=lambda p: (p.costs[key].mean, -sign * p.quality.mean),
        )
        best, kept = -math.inf, []
        for point in ranked:
            if sign * point.quality.mean > best:
                best = sign * point.quality.mean
                kept.append(point)
        return kept

    def tolerance(self) -> float:
        """Returns how much worse than dense is still level: dense's own spread, at least 1 % of its value."""
        if self.baseline is None:
            return 0.0
        quality = self.baseline.validation
        return max(quality.deviation or 0.0, 0.01 * abs(quality.mean))

    def loss(self, point: Point) -> float:
        """Returns how much worse than the dense network a point is on the test split, negative if better."""
        return self._worse(point.quality, self.baseline.quality) if self.baseline else 0.0

    def pick(self, key: str = "bytes") -> Point | None:
        """Returns the cheapest compressed point that is level with dense on the validation split, if any."""
        if self.baseline is None:
            return None
        level = [
            point
            for point in self.points
            if point is not self.baseline
            and key in point.costs
            and self._worse(point.validation, self.baseline.validation) <= self.tolerance()
        ]
        return min(level, key=lambda point: point.costs[key].mean, default=None)

    def _worse(self, value: Spread, dense: Spread) -> float:
        return (1.0 if self.higher_is_better else -1.0) * (dense.mean - value.mean)

    def ratio(self, point: Point, key: str) -> float | None:
        """Returns dense cost over the point's cost, None where either is missing or zero."""
        if self.baseline is None or key not in point.costs or key not in self.baseline.costs:
            return None
        after = point.costs[key].mean
        return self.baseline.costs[key].mean / after if after > 0 else None


def load(run: dict[str, Any] | str | Path) -> dict[str, Any]:
    """Returns a run, read from its file (or the `run.json` of its folder) where a path is given.

    Raises:
        FileError: The file is missing or not JSON.
        DataError: It is not a run; the message says what is missing.
    """
    where = "run"
    if not isinstance(run, dict):
        path = Path(run)
        path = path / "run.json" if path.is_dir() else path
        where, run = str(path), read_json(path)
    if not isinstance(run, dict) or "cells" not in run or "metric" not in run:
        raise DataError(f"{where}: is not a run; expected a JSON object with 'cells' and 'metric', as compare writes")
    if run.get("format") != 1:
        raise DataError(f"{where}: has format {run.get('format')!r}; this version reads format 1")
    return run


def summarize(run: dict[str, Any] | str | Path) -> Summary:
    """Averages a run over its seeds.

    Args:
        run: A run, or the path of its file or folder.

    Raises:
        FileError, DataError: As `load` does.
    """
    run = load(run)
    metric = run["metric"]
    groups: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    failed = []
    for cell in run["cells"]:
        if cell.get("status", "done") == "done" and metric in (cell.get("quality") or {}):
            groups.setdefault((cell["method"], cell.get("sparsity") or None), []).append(cell)
        else:
            failed.append(cell)
    points = [
        _point(method, sparsity, cells, metric, quality="quality", cost="cost")
        for (method, sparsity), cells in groups.items()
    ]
    baseline = next((point for point in points if point.method == DENSE), None)
    if baseline is None and run.get("kind") == "compression":  # in a comparison, networks come in untrained
        before = list({cell["seed"]: cell for cell in reversed(run["cells"]) if _has_before(cell, metric)}.values())
        if before:
            baseline = _point(DENSE, None, before[::-1], metric, quality="quality_before", cost="cost_before")
            points.insert(0, baseline)
    return Summary(run=run, points=tuple(points), baseline=baseline, failed=tuple(failed))


def _has_before(cell: dict[str, Any], metric: str) -> bool:
    return metric in (cell.get("quality_before") or {}) and bool(cell.get("cost_before"))


def _point(
    method: str, sparsity: float | None, cells: list[dict[str, Any]], metric: str, *, quality: str, cost: str
) -> Point:
    values = [cell[quality][metric] for cell in cells]
    validated = [cell["validation"][metric] for cell in cells] if quality == "quality" else values
    costs = {
        axis.key: Spread.of(known)
        for axis in AXES
        if (known := [c[cost][axis.key] for c in cells if c[cost].get(axis.key) is not None])
    }
    return Point(
        method=method,
        sparsity=sparsity,
        quality=Spread.of(values),
        validation=Spread.of(validated),
        costs=costs,
        cells=tuple(cells),
    )
