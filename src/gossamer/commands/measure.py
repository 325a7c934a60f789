"""`gossamer measure`: what a network takes on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gossamer import units
from gossamer.commands.command import MaybeColumns, MaybePath, MaybeText, MaybeWhole, Whole

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from gossamer.recipes.sources import TaskSource
    from gossamer.tasks import Task

_WRITE: dict[str, Callable[[Any], str]] = {
    "bytes": lambda value: units.count(value, "B"),
    "peak_memory_bytes": lambda value: units.count(value, "B"),
    "graph_bytes": lambda value: units.count(value, "B"),
    "latency_ms": units.milliseconds,
    "latency_spread_ms": units.milliseconds,
    "eager_latency_ms": units.milliseconds,
    "compiled_latency_ms": units.milliseconds,
    "runs_on": str,
}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Measures what a network takes: parameters, bytes, multiply-accumulates, latency and memory.

    The latency is that of the network as it would be deployed: on the engine where that compiles it, and beside it that
    in eager PyTorch and, with --torch-compile, under torch.compile. A saved network is also measured in PyTorch with a
    sparse kernel in each layer where that is faster here; its quality on the test split is shown too. A network of the
    zoo, and one of your own without --weights, has fresh weights, so only its cost is shown. With --zeros, also what
    part of all that each layer reads, writes and learns from is exactly zero, on the validation split.

    Examples:
      gossamer measure --data cora --model gcn
      gossamer measure --data cora --model runs/small/model.gossamer --threads 1
      gossamer measure --data cora --model runs/small/model.gossamer --zeros
      gossamer measure --task own_model.py:make_task --model own_model.py:Net --weights runs/own/model.gossamer
    """

    data: MaybeText = None  # a data set by name (`gossamer datasets` lists them), or path/to/edges.csv
    task: MaybeText = None  # your own data, package.module:factory or file.py:factory; or temporal-link of --data
    model: str  # a network of the zoo, such as gcn or 'gcn[hidden=16]', a saved one, or your own: file.py:Net
    weights: MaybePath = None  # a saved file of your own network, whose class --model then names
    threads: MaybeWhole = None  # threads to time with (default: PyTorch's own)
    seed: Whole = 0  # seed of the split
    columns: MaybeColumns = None  # of an edge list: source,target,weight,time in its order; _ leaves one out
    string_ids: bool = False  # nodes of an edge list are names, whatever they look like
    torch_compile: bool = False  # also time it under torch.compile: seconds to minutes
    zeros: bool = False  # also count the zeros in activations and gradients, layer by layer

    def run(self, console: Console) -> dict[str, Any]:
        """Measures, prints a table, and returns `{"costs": {variant: cost}, "quality": ..., "zeros": ...}`."""
        from rich import box
        from rich.table import Table

        from gossamer import machine
        from gossamer.commands import inputs
        from gossamer.cost import measure
        from gossamer.deploy import deployment, measure_deployed

        tasks = inputs.tasks(self.data, self.task, columns=self.columns, string_ids=self.string_ids)
        task = inputs.task_for(self.model, self.weights, tasks, seed=self.seed)
        variants, quality = self._variants(tasks, task)
        (first, model), *others = variants.items()
        made = deployment(model, task.example(), threads=self.threads, accelerate=False)
        cost = measure_deployed(model, task.example(), made, torch_compile=self.torch_compile, threads=self.threads)
        costs = {first: cost.to_json()}
        costs |= {name: measure(one, task.example(), threads=self.threads).to_json() for name, one in others}
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for name in variants:
            table.add_column(name, justify="right")
        for key in next(iter(costs.values())):
            values = [cost[key] for cost in costs.values()]
            if any(value is not None for value in values):
                table.add_row(
                    key, *(units.MISSING if value is None else _WRITE.get(key, units.count)(value) for value in values)
                )
        for name, value in quality.items():
            table.add_row(f"{name} (test)", units.quality(name, value))
        console.print(table)
        if made.reason:
            console.print(f"On {made.runs_on}: {made.reason}.", markup=False)
        counted = self._zeros(next(iter(variants.values())), task, console) if self.zeros else None
        return {
            "data": self.data or self.task,
            "model": self.model,
            "costs": costs,
            "quality": quality or None,
            "zeros": counted,
            "machine": machine.describe(),
        }

    def _zeros(self, model: nn.Module, task: Task, console: Console) -> list[dict[str, Any]]:
        """Counts zeros, prints a table of them, and returns a record a layer."""
        from rich import box
        from rich.table import Table

        from gossamer.activations import zeros

        records = [layer.to_json() for layer in zeros(model, task)]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("zeros in")
        for key in list(records[0])[2:]:
            table.add_column(key.replace("_", " "), justify="right")
        for record in records:
            name, _, *shares = record.values()
            table.add_row(name, *(units.MISSING if share is None else units.percent(share) for share in shares))
        console.print(table)
        return records

    def _variants(self, tasks: TaskSource, task: Task) -> tuple[dict[str, nn.Module], dict[str, float]]:
        """Returns the networks to measure by name, and the test quality of a trained one."""
        from gossamer.commands import inputs
        from gossamer.deploy import accelerate

        model = inputs.saved(self.model, self.weights, tasks, seed=self.seed)
        if model is None:
            return {self.model: inputs.network(self.model, tasks, seed=self.seed)}, {}
        quick = accelerate(model, task.example(), threads=self.threads).model
        return {"as saved": model, "accelerated": quick}, task.evaluate(model, "test")


def _written(key: str, value: Any) -> str:
    return units.MISSING if value is None else _WRITE.get(key, units.count)(value)
