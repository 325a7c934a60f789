"""`gossamer bench`: kernels, or a network's .gsm file, against their best alternatives on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from gossamer.commands.command import MaybePath, MaybeText, MaybeThreads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from gossamer.bench.networks import Row as NetworkRow


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Times the kernels, or a network's .gsm file, against their best alternatives, in turns.

    `kernels` measures at one and at all threads; `page` writes what `kernels --out` stored as a page of Markdown. A
    .gsm file is timed against the peers of --against on the same network: net.onnx beside it for onnx and openvino,
    net.pt2 for eager; `gossamer export` writes all three.

    Examples:
      gossamer bench net.gsm --batch 1,32 --threads 1,2 --against onnx,openvino,eager
      gossamer bench kernels
      gossamer bench kernels --family csr,blocks --scale full --threads 1 --out results
      gossamer bench page --results results --out benchmarks.md
    """

    what: Annotated[str, Positional, arg(metavar="kernels|page|FILE.gsm")] = field(metadata={"positional": True})
    family: MaybeText = None  # families by name, separated by commas (default: all)
    scale: Literal["quick", "full"] = "quick"  # full: every shape that has a bar, for minutes
    threads: MaybeThreads = None  # numbers of threads, separated by commas (default: one, and all cores)
    batch: MaybeThreads = None  # of a .gsm file: numbers of rows, separated by commas (default: 1,32)
    against: MaybeText = None  # of a .gsm file: onnx, openvino and eager, separated by commas (default: none)
    seconds: float = 2.0  # of a .gsm file: about how long each combination is timed
    out: MaybePath = None  # kernels: folder for one JSON file a family; page: the file to write
    results: Path = Path("benchmarks/results")  # page: the folder of stored records

    def run(self, console: Console) -> dict[str, Any]:
        """Prints a table a family and where we lose; returns the record, with its `rows`."""
        if self.what == "page":
            return self._page(console)
        if self.what != "kernels":
            return self._network(console)
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from gossamer import bench
        from gossamer.bench.case import FULL, QUICK
        from gossamer.bench.run import lost
        from gossamer.bench.table import table
        from gossamer.commands.inputs import check_folder
        from gossamer.console import stderr
        from gossamer.kernels import native

        families, counts = self._families(), self._counts()
        if self.out is not None:
            check_folder(self.out)
        if not native.available():
            console.print("The native kernels are not there: references are timed. See gossamer doctor.", style="red")
        patience = FULL if self.scale == "full" else QUICK
        rows: list[bench.Row] = []
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=stderr(), transient=True) as bar:
            line = bar.add_task("measuring the limits of this machine")
            limits = {count: bench.measure_limits(count) for count in counts}
            for family in families:

                def show(case: str, family: str = family) -> None:
                    bar.update(line, description=f"{family}: {case}")

                found = list(bench.run_family(family, limits=limits, patience=patience, each=show))
                rows += found
                console.print(table(found, f"{family}: {bench.FAMILIES[family]}"))
                if self.out is not None:
                    bench.save(bench.record(found, limits.values(), full=patience.full), self.out)
        behind = lost(rows)
        if behind:
            console.print("Where we lose:")
            for row in behind:
                text = f"  {row.ratio:.2f} of {row.peer}: {row.family}, {row.case}, threads {row.threads}"
                console.print(text, markup=False, highlight=False)
        missed = [row for row in rows if row.met is False]
        met = sum(row.met is True for row in rows)
        console.print(f"{met} of {met + len(missed)} bars met.", highlight=False)
        return bench.record(rows, limits.values(), full=patience.full)

    def _network(self, console: Console) -> dict[str, Any]:
        from gossamer import machine
        from gossamer.errors import SettingError

        path = Path(self.what)
        if path.suffix != ".gsm":
            raise SettingError(f"bench times kernels, page or FILE.gsm, not {self.what!r}")
        from gossamer.bench.networks import compare_network

        rows = compare_network(
            path,
            batches=self.batch or (1, 32),
            threads=self._counts(),
            against=[name.strip() for name in (self.against or "").split(",") if name.strip()],
            seconds=self.seconds,
        )
        _tabulate(console, rows)
        return {"network": str(path), "rows": [row.to_json() for row in rows], "machine": machine.describe()}

    def _families(self) -> list[str]:
        from gossamer.bench import FAMILIES
        from gossamer.errors import SettingError, unknown

        names = list(FAMILIES) if self.family is None else [name.strip() for name in self.family.split(",")]
        for name in names:
            if name not in FAMILIES:
                raise SettingError(unknown("family of kernels", name, FAMILIES))
        return names

    def _counts(self) -> list[int]:
        from gossamer import machine
        from gossamer.errors import SettingError

        counts = sorted({1, machine.describe()["cores"]}) if self.threads is None else list(self.threads)
        if not counts or min(counts) < 1:
            raise SettingError(f"--threads is {counts}; expected numbers of at least 1")
        return counts

    def _page(self, console: Console) -> dict[str, Any]:
        from gossamer import bench
        from gossamer.bench.table import markdown
        from gossamer.errors import FileError
        from gossamer.files import write_text

        records = bench.load(self.results)
        if not records:
            raise FileError(f"{self.results}: has no records; make them with gossamer bench kernels --out FOLDER")
        path = write_text(self.out or Path("benchmarks.md"), markdown(records))
        console.print(f"Page: {path}", markup=False, highlight=False, soft_wrap=True)
        return {"page": str(path)}


def _tabulate(console: Console, rows: Sequence[NetworkRow]) -> None:
    from rich import box
    from rich.table import Table

    from gossamer import units

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("engine", "threads", "batch", "median", "spread", "of ours", "differs by"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for row in rows:
        table.add_row(
            row.engine,
            str(row.threads),
            "fixed" if row.batch is None else str(row.batch),
            units.milliseconds(row.median_ms),
            units.milliseconds(row.spread_ms),
            units.factor(row.ratio),
            f"{row.difference:.0e}",
        )
    console.print(table)
    console.print("Of ours: how many times as long as gossamer; above 1 gossamer is faster.", highlight=False)
