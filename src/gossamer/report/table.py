"""A run as a table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer import units
from gossamer.report.summary import summarize

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = ("bytes", "macs", "latency_ms")


def table(run: dict[str, Any] | str | Path) -> Table:
    """Returns one row a method and sparsity: quality and costs, each cost with its ratio to the dense one.

    Args:
        run: A run, or the path of its file or folder.

    Raises:
        FileError, DataError: The run could not be read.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    summary = summarize(run)
    axes = [axis for axis in summary.axes if axis.key in _COLUMNS]
    front = [point.label for point in summary.pareto("bytes")]
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    made.add_column("sparsity", justify="right")
    made.add_column(summary.metric, justify="right")
    for axis in axes:
        made.add_column({"bytes": "size", "macs": "MACs", "latency_ms": "latency"}[axis.key], justify="right")
        made.add_column("", justify="right", style="dim")
    for point in summary.points:
        row: list[str | Text] = [
            Text(f"{'★' if point.label in front else ' '} {point.method}"),
            units.percent(point.sparsity) if point.sparsity else "",
            units.quality(summary.metric, point.quality.mean, point.quality.deviation),
        ]
        for axis in axes:
            ratio = None if point is summary.baseline else summary.ratio(point, axis.key)
            row.append(axis.write(point.costs[axis.key].mean) if axis.key in point.costs else units.MISSING)
            row.append(f"{units.factor(ratio)}" if ratio else "")
        made.add_row(*row)
    for cell in summary.failed:
        made.add_row(Text(f"  {cell['method']}"), _sparsity(cell), Text(f"seed {cell['seed']} failed", style="red"))
    return made


def _sparsity(cell: dict[str, Any]) -> str:
    return units.percent(cell["sparsity"]) if cell.get("sparsity") else ""
