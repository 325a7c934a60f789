"""A run as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gossamer import units
from gossamer.report.frontier import points
from gossamer.report.source import Source, read

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = {
    "bytes": "size",
    "macs": "MACs",
    "latency_ms": "latency",
    "eager_latency_ms": "in PyTorch",
    "compiled_latency_ms": "torch.compile",
}


def table(run: Source) -> Table:
    """Returns one row a point: test quality ± half its 95 % interval, and costs with their ratio to the dense one.

    "latency" is that of the network as it is deployed, and the last column says on what. A star marks the points whose
    mean validation quality and size no other beats.

    Args:
        run: A comparison, its record, or the path of its file or folder.

    Raises:
        FileError, DataError: The run could not be read.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    frontier = read(run)
    axes = [axis for axis in frontier.axes if axis.key in _COLUMNS]
    front = frontier.pareto("bytes", confidence=None) if any(axis.key == "bytes" for axis in axes) else []
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    made.add_column("setting", justify="right")
    made.add_column(frontier.metric, justify="right")
    for axis in axes:
        made.add_column(_COLUMNS[axis.key], justify="right")
        made.add_column("", justify="right", style="dim")
    deployed = any(point.runs_on for point in points(frontier))
    if deployed:
        made.add_column("runs on")
    for point in points(frontier):
        row: list[str | Text] = [
            Text(f"{'★' if point in front else ' '} {point.method}"),
            Text(point.label.removeprefix(point.method).strip()),
            units.quality(frontier.metric, point.test.mean, point.test.half_width()),
        ]
        for axis in axes:
            ratio = None if point is frontier.dense else frontier.ratio(point, axis.key)
            row.append(axis.write(point.costs[axis.key].mean) if axis.key in point.costs else units.MISSING)
            row.append(f"{units.factor(ratio)}" if ratio else "")
        made.add_row(*row, *([point.runs_on or units.MISSING] if deployed else []))
    for cell in frontier.failed:
        setting = cell.get("budget") or (units.percent(cell["sparsity"]) if cell.get("sparsity") else "")
        made.add_row(Text(f"  {cell['method']}"), Text(setting), Text(f"seed {cell['seed']} failed", style="red"))
    return made
