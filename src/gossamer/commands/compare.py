"""`gossamer compare`: many methods, sparsities and seeds on one network and one data set."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.commands.command import Fractions, MaybeColumns, MaybeNumber, MaybeWhole, Seeds
from gossamer.errors import TrainingError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compares methods on one network and one data set, at equal training.

    Every finished cell (a method at a sparsity with a seed) is on disk before the next starts: the same
    command again goes on where it stopped. Writes run.json, report.html, frontier.svg and every network.

    Examples:
      gossamer compare --data digits-graph --model gcn --methods dense,rigl,magnitude --out runs/digits
      gossamer compare --data cora --model 'gcn[hidden=16]' --methods 'dense,rigl[every=50]' --out runs/cora
    """

    data: str  # a data set by name (`gossamer datasets` lists them), or path/to/edges.csv
    model: str  # a network of the zoo, optionally with arguments: gcn, 'gcn[hidden=16]'
    methods: str = "dense,magnitude,rigl"  # optionally with settings: 'rigl[every=50],magnitude'
    sparsities: Fractions = (0.5, 0.9)  # fractions of the weights to remove
    seeds: Seeds = (0, 1, 2)  # seeds of weights, batches and splits
    out: Path  # folder of the comparison
    epochs: MaybeWhole = None  # epochs each cell trains (default: the network's own)
    learning_rate: MaybeNumber = None  # of the optimiser (default: the network's own)
    patience: MaybeWhole = None  # epochs without progress before training stops (default: the network's own)
    threads: MaybeWhole = None  # of every product (default: PyTorch's own); small networks are fastest with 1
    columns: MaybeColumns = None  # of an edge list: source,target,weight,time in its order; _ leaves one out
    string_ids: bool = False  # nodes of an edge list are names, whatever they look like

    def run(self, console: Console) -> dict[str, Any]:
        """Runs what is missing, prints the table, and returns the content of run.json."""
        from gossamer import report
        from gossamer.commands import inputs
        from gossamer.compression import compare, parse_methods
        from gossamer.models import build

        inputs.check_folder(self.out)
        inputs.use_threads(self.threads)
        methods = parse_methods(self.methods)
        training = inputs.training(
            self.model, epochs=self.epochs, learning_rate=self.learning_rate, patience=self.patience
        )
        first = inputs.task(
            self.data, seed=self.seeds[0] if self.seeds else 0, columns=self.columns, string_ids=self.string_ids
        )
        zoo: Any = inputs.network(self.model, first).zoo  # a wrong argument is found before anything trains
        frontier = compare(
            functools.partial(build, zoo["name"], **zoo["arguments"]),
            lambda seed: inputs.task(self.data, seed=seed, columns=self.columns, string_ids=self.string_ids),
            methods,
            sparsities=self.sparsities,
            seeds=self.seeds,
            out=self.out,
            training=training,
            names={"data": self.data, "model": self.model},
            threads=self.threads,
        )
        run = frontier.to_json()
        failed = [cell for cell in run["cells"] if cell["status"] != "done"]
        if len(failed) == len(run["cells"]):
            raise TrainingError(
                f"all {len(failed)} cells failed, the first: {failed[0]['error']}; see {self.out}/run.json"
            )
        page = report.write(run, self.out)
        report.frontier_svg(run, self.out / "frontier.svg")
        console.print(report.table(run))
        if failed:
            console.print(f"{len(failed)} of {len(run['cells'])} cells failed; the report says why", style="red")
        console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
        return run
