"""A comparison as a table: one row a point, a cell or a layer, for people and for other programs."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.errors import MissingExtraError, SettingError, unknown
from gossamer.files import write_text
from gossamer.frontier.axes import SAMPLED
from gossamer.frontier.efficiency import per_nonzero
from gossamer.frontier.points import RUNS_ON

if TYPE_CHECKING:
    import pandas

    from gossamer.frontier.frontier import Frontier
    from gossamer.frontier.statistics import Estimate

_COSTS = (
    "parameters",
    "nonzeros",
    "bytes",
    "macs",
    "training_macs",
    "latency_ms",
    "latency_spread_ms",
    "eager_latency_ms",
    "compiled_latency_ms",
    "peak_memory_bytes",
    "graph_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of plain values under names; None where a value is not known."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def to_markdown(self) -> str:
        """Returns a Markdown table; numbers have five significant digits."""
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        return "".join("| " + " | ".join(_cell(value) for value in line) + " |\n" for line in lines)

    def to_csv(self) -> str:
        """Returns comma-separated values with a header, numbers in full; None is an empty field."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return stream.getvalue()

    def to_dataframe(self) -> pandas.DataFrame:
        """Returns a pandas DataFrame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("a DataFrame needs pandas; install gossamer[tables]") from None
        return pd.DataFrame.from_records(list(self.rows), columns=list(self.columns))

    def save(self, path: str | Path) -> Path:
        """Writes the table, as Markdown to `.md` and as comma-separated values to `.csv`.

        Raises:
            SettingError: Another suffix.
            FileError: The file could not be written.
        """
        path = Path(path)
        match path.suffix:
            case ".md":
                return write_text(path, self.to_markdown())
            case ".csv":
                return write_text(path, self.to_csv())
        raise SettingError(f"{path}: a table is written to a name that ends in .md or .csv, found {path.suffix!r}")


def tabulate(frontier: Frontier, kind: str) -> Table:
    """Returns the table of this kind: `points`, `cells` or `layers`.

    Raises:
        SettingError: An unknown kind.
    """
    kinds = {"points": _points, "cells": _cells, "layers": _layers}
    if kind not in kinds:
        raise SettingError(unknown("kind of table", kind, kinds))
    return kinds[kind](frontier)


def _points(frontier: Frontier) -> Table:
    """One row a point: each figure's mean, and half the width of its 95 % interval if it is sampled."""
    metric = frontier.metric
    front = {id(point) for point in (frontier.pareto("bytes") if frontier.points() else [])}
    costs = [name for name in _COSTS if any(name in point.costs for point in frontier.points())]
    efficiency = [f"{metric}_per_million_nonzeros"] if frontier.higher_is_better and "nonzeros" in costs else []
    figures = [f"validation_{metric}", f"test_{metric}", *efficiency, *costs]
    sampled = {*figures[:2], *efficiency, *SAMPLED}
    names = [name + end for name in figures for end in (("", "_ci95") if name in sampled else ("",))]
    rows = []
    for point in frontier.points():
        known: list[Estimate | None] = [
            *(point.val, point.test),
            *(per_nonzero(point) for _ in efficiency),
            *(point.costs.get(name) for name in costs),
        ]
        values: list[float | None] = []
        for name, figure in zip(figures, known, strict=True):
            values.append(figure.mean if figure else None)
            if name in sampled:
                values.append(figure.half_width() if figure else None)
        head = (point.method, point.sparsity, point.budget, len(point.seeds))
        rows.append((*head, *values, point.runs_on, id(point) in front))
    columns = ("method", "sparsity", "budget", "seeds", *names, RUNS_ON, "front")
    return Table(columns=columns, rows=tuple(rows))


def _cells(frontier: Frontier) -> Table:
    """One row a cell, those that failed too."""
    names = list(dict.fromkeys(name for c in frontier.cells for name in c.get("quality") or {}))
    validated = list(dict.fromkeys(name for c in frontier.cells for name in c.get("validation") or {}))
    columns = (
        *("id", "method", "sparsity", "budget", "seed", "status", "error"),
        *(f"validation_{name}" for name in validated),
        *(f"test_{name}" for name in names),
        *("measured_sparsity", *_COSTS, RUNS_ON, "met_budget"),
    )
    rows = [
        (
            *(cell.get(name) for name in columns[:7]),
            *((cell.get("validation") or {}).get(name) for name in validated),
            *((cell.get("quality") or {}).get(name) for name in names),
            cell.get("measured_sparsity"),
            *((cell.get("cost") or {}).get(name) for name in (*_COSTS, RUNS_ON)),
            cell.get("met_budget"),
        )
        for cell in frontier.cells
    ]
    return Table(columns=columns, rows=tuple(rows))


def _layers(frontier: Frontier) -> Table:
    """One row a weight of each finished cell."""
    own = ("name", "kind", "parameters", "nonzeros", "sparsity", "kernel", "dense_ms", "kernel_ms", "engine", "reason")
    columns = ("id", "method", "seed", "layer", "kind", "shape", *own[2:])
    rows = [
        (
            *(cell.get(name) for name in ("id", "method", "seed")),
            *(layer.get(name) for name in own[:2]),
            "x".join(map(str, layer.get("shape") or [])),
            *(layer.get(name) for name in own[2:]),
        )
        for cell in frontier.cells
        for layer in cell.get("layers") or []
    ]
    return Table(columns=columns, rows=tuple(rows))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"
    text = str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
