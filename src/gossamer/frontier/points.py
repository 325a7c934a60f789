"""Points: what the seeds of one method at one setting share.

A setting is a budget where the cell ran under one, else a sparsity. Cells that failed or are not measured yet are in
no point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gossamer import units
from gossamer.frontier.axes import SAMPLED
from gossamer.frontier.statistics import Estimate

DENSE = "dense"
RUNS_ON = "runs_on"  # the one field of a cost that is no number


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method at one setting, over its seeds.

    Attributes:
        method: Its label in the comparison.
        sparsity: Value of the method's knob; None or 0 where it has none. The mean, where a budget search found
            different ones.
        budget: The budget it was made to meet, as text; None without.
        test: The headline metric on the test split.
        val: The same on the validation split, which choices are made on.
        costs: Field of `Cost` to its figure, those that are known.
        cells: The records behind it, one a seed.
    """

    method: str
    sparsity: float | None
    budget: str | None = None
    test: Estimate
    val: Estimate
    costs: dict[str, Estimate]
    cells: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def label(self) -> str:
        """The method and its setting, for people: `rigl 90 %`, `rigl bytes<=100k (sparsity 0.87)`."""
        if self.budget is not None:
            return f"{self.method} {self.budget}" + (f" (sparsity {self.sparsity:.2g})" if self.sparsity else "")
        return f"{self.method} {units.percent(self.sparsity)}" if self.sparsity else self.method

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that finished."""
        return self.test.seeds

    @property
    def runs_on(self) -> str | None:
        """What its latency was measured on, "engine" mostly; all of them where seeds differ, None where not known."""
        found = dict.fromkeys(cell["cost"][RUNS_ON] for cell in self.cells if cell["cost"].get(RUNS_ON))
        return ", ".join(found) or None

    @property
    def quality(self) -> float:
        """Mean of the metric on the test split."""
        return self.test.mean

    @property
    def quality_spread(self) -> float:
        """Sample standard deviation of it; 0 for a single seed."""
        return self.test.deviation or 0.0

    @property
    def validation(self) -> float:
        """Mean of the metric on the validation split."""
        return self.val.mean

    @property
    def cost(self) -> dict[str, float]:
        """Mean of each known cost."""
        return {name: estimate.mean for name, estimate in self.costs.items()}

    @property
    def cost_spread(self) -> dict[str, float]:
        """Sample standard deviation of each known cost; 0 for a single seed."""
        return {name: estimate.deviation or 0.0 for name, estimate in self.costs.items()}


def group(cells: Iterable[dict[str, Any]], metric: str) -> list[Point]:
    """Returns one point for each method and setting with a finished cell, in the cells' order."""
    groups: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for cell in cells:
        if finished(cell, metric):
            setting = cell.get("budget") or cell.get("sparsity") or None
            groups.setdefault((cell["method"], setting), []).append(cell)
    return [_point(found, metric) for found in groups.values()]


def finished(cell: dict[str, Any], metric: str) -> bool:
    """Says whether a cell is done, with a quality and a cost."""
    done = cell.get("status", "done") == "done"
    return done and metric in (cell.get("quality") or {}) and bool(cell.get("cost"))


def describe_cell(cell: dict[str, Any]) -> str:
    """Returns what a cell is, for people: `rigl 90 %, seed 0`."""
    setting = cell.get("budget") or (units.percent(cell["sparsity"]) if cell.get("sparsity") else "")
    return f"{cell['method']}{' ' if setting else ''}{setting}, seed {cell['seed']}"


def before(cells: Sequence[dict[str, Any]], metric: str) -> Point | None:
    """Returns the networks that came in as a point, one a seed, or None where no cell tells of them.

    Their validation quality was not recorded, so the test quality stands in its place.
    """
    known = {
        cell["seed"]: cell
        for cell in reversed(cells)
        if metric in (cell.get("quality_before") or {}) and cell.get("cost_before")
    }
    rows = [
        {
            **cell,
            "method": DENSE,
            "sparsity": None,
            "budget": None,
            "quality": cell["quality_before"],
            "validation": cell["quality_before"],
            "cost": cell["cost_before"],
        }
        for cell in reversed(known.values())
    ]
    return _point(rows, metric) if rows else None


def _point(cells: Sequence[dict[str, Any]], metric: str) -> Point:
    first, seeds = cells[0], tuple(int(cell["seed"]) for cell in cells)
    sparsities = [cell["sparsity"] for cell in cells if cell.get("sparsity") is not None]
    names = dict.fromkeys(
        name for cell in cells for name, value in cell["cost"].items() if value is not None and name != RUNS_ON
    )
    costs = {}
    for name in names:
        known = [(cell["cost"][name], cell["seed"]) for cell in cells if cell["cost"].get(name) is not None]
        costs[name] = Estimate(
            values=tuple(float(value) for value, _ in known),
            seeds=tuple(int(seed) for _, seed in known),
            counted=name not in SAMPLED,
        )
    return Point(
        method=first["method"],
        sparsity=sum(sparsities) / len(sparsities) if len(set(sparsities)) > 1 else next(iter(sparsities), None),
        budget=first.get("budget"),
        test=Estimate(values=tuple(float(cell["quality"][metric]) for cell in cells), seeds=seeds),
        val=Estimate(values=tuple(float(cell["validation"][metric]) for cell in cells), seeds=seeds),
        costs=costs,
        cells=tuple(cells),
    )
