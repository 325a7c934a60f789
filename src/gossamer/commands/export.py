"""`gossamer export`: a network in a form that other programs run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gossamer.commands.command import MaybeColumns, MaybePath, MaybeText, MaybeWhole, Whole
from gossamer.errors import SettingError

if TYPE_CHECKING:
    from rich.console import Console

    from gossamer.deploy import Exported, Form


@dataclass(frozen=True, kw_only=True)
class Export:
    """Writes a network as ONNX, as a torch.export program or for gossamer's engine, and checks the file.

    The input is the task's example; the file takes features and edges (or images) of any number. A network of the zoo,
    and one of your own without --weights, has fresh weights.

    Examples:
      gossamer export --data cora --model runs/small/model.gossamer --to net.onnx
      gossamer export --data cora --model runs/small/model.gossamer --to net.pt2 --compare
      gossamer export --data digits --model lenet --compare
      gossamer export --data digits --model runs/small/model.gossamer --to net.gsm
      gossamer export --task own.py:task --model own.py:Net --weights runs/own/model.gossamer --to net.onnx
    """

    data: MaybeText = None  # a data set by name (`gossamer datasets` lists them), or path/to/edges.csv
    task: MaybeText = None  # your own data, package.module:factory or file.py:factory; or temporal-link of --data
    model: str  # a network of the zoo, such as gcn or 'gcn[hidden=16]', a saved one, or your own: file.py:Net
    weights: MaybePath = None  # a saved file of your own network, whose class --model then names
    to: MaybePath = None  # the file, with the suffix .onnx, .pt2 or .gsm
    opset: MaybeWhole = None  # version of ONNX's operators, 18 to 23 (default: 20)
    fixed: bool = False  # fix the numbers of nodes, edges and images to those of the example
    compare: bool = False  # print the latency of every form on this machine
    no_compile: bool = False  # leave torch.compile, which takes long, out of the comparison
    threads: MaybeWhole = None  # to time with (default: PyTorch's own)
    seed: Whole = 0  # seed of the split
    columns: MaybeColumns = None  # of an edge list: source,target,weight,time in its order; _ leaves one out
    string_ids: bool = False  # nodes of an edge list are names, whatever they look like

    def run(self, console: Console) -> dict[str, Any]:
        """Exports, compares, prints both, and returns `{"exported": ..., "forms": [...]}`."""
        if self.to is None and not self.compare:
            raise SettingError("export needs --to FILE, --compare, or both")
        from gossamer import machine
        from gossamer.commands import inputs
        from gossamer.deploy import compare_exports, export

        tasks = inputs.tasks(self.data, self.task, columns=self.columns, string_ids=self.string_ids)
        example = inputs.task_for(self.model, self.weights, tasks, seed=self.seed).example()
        model = inputs.saved(self.model, self.weights, tasks, seed=self.seed)
        if model is None:
            model = inputs.network(self.model, tasks, seed=self.seed)
        exported = None
        if self.to is not None:
            exported = export(model, example, self.to, opset=self.opset, dynamic=not self.fixed)
            _describe(console, exported)
        forms = []
        if self.compare:
            forms = compare_exports(model, example, threads=self.threads, compiled=not self.no_compile)
            _tabulate(console, forms)
        return {
            "data": self.data or self.task,
            "model": self.model,
            "exported": None if exported is None else exported.to_json(),
            "forms": [form.to_json() for form in forms],
            "machine": machine.describe(),
        }


def _describe(console: Console, exported: Exported) -> None:
    from gossamer.report import units

    shapes = ", ".join(f"{name} ({', '.join(map(str, axes))})" for name, axes in exported.inputs.items())
    console.print(
        f"{exported.path}: {units.count(exported.bytes, 'B')}, takes {shapes}; "
        f"differs from the network by at most {exported.max_error:.1e}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for note in exported.notes:
        console.print(note, markup=False, highlight=False)


def _tabulate(console: Console, forms: list[Form]) -> None:
    from rich import box
    from rich.table import Table

    from gossamer.report import units

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("form", "median", "spread", "file", "differs by"):
        table.add_column(name, justify="left" if name == "form" else "right")
    table.add_column("note", overflow="fold")
    for form in forms:
        times = () if form.timing is None else (form.timing.median_ms, form.timing.spread_ms)
        table.add_row(
            form.name,
            *([units.milliseconds(time) for time in times] or ["-", "-"]),
            "-" if form.bytes is None else units.count(form.bytes, "B"),
            "-" if form.difference is None else f"{form.difference:.0e}",
            form.note,
        )
    console.print(table)
