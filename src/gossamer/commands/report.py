"""`gossamer report`: the page of a run, made again from its record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gossamer.commands.command import MaybePath

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Report:
    """Makes report.html from a run.

    Examples:
      gossamer report runs/cora
      gossamer report runs/cora/run.json --out cora.html --svg cora.svg --cost latency_ms
      gossamer report runs/cora --table cora.csv
    """

    run_path: Annotated[Path, Positional, arg(metavar="RUN", help="run.json, or the folder it is in")] = field(
        metadata={"positional": True}
    )
    out: MaybePath = None  # the page's name ending in .html, or its folder (default: beside the run)
    svg: MaybePath = None  # also draw the frontier, as this picture
    cost: str = "bytes"  # the cost that the picture shows, such as bytes, macs or latency_ms
    table: MaybePath = None  # also write the figures of every network, to this .csv or .md

    def run(self, console: Console) -> dict[str, Any]:
        """Writes the page, prints the table, and returns the paths written."""
        from gossamer import report
        from gossamer.report.source import read

        run = read(self.run_path)
        beside = self.run_path if self.run_path.is_dir() else self.run_path.parent
        page = report.write(run, self.out or beside)
        picture = report.frontier_svg(run, self.svg, cost=self.cost) if self.svg else None
        figures = run.table().save(self.table) if self.table else None
        console.print(report.table(run))
        console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
        written = {"report": page, "svg": picture, "table": figures}
        return {name: str(path) if path else None for name, path in written.items()}
