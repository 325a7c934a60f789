"""`gossamer explore`: several settings of one method at once, searched for quality and cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.commands.command import MaybeColumns, MaybeNumber, MaybeText, MaybeWhole, Whole
from gossamer.errors import SettingError, TrainingError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Explore:
    """Searches a method's settings for the networks that no other beats in validation quality and in some costs.

    What to try next is decided by NSGA-II (Optuna). The same command again goes on with the exploration; given in
    several processes at once, they share it. Writes run.json, report.html and every network.

    Examples:
      gossamer explore --data digits-graph --model gcn --method rigl --trials 30 --out runs/rigl
      gossamer explore --data fashion-mnist --model lenet --method magnitude --objectives latency_ms,bytes --out runs/a
    """

    data: MaybeText = None  # a data set by name (`gossamer datasets` lists them), or path/to/edges.csv
    task: MaybeText = None  # your own data, package.module:factory or file.py:factory; or temporal-link of --data
    model: str  # a network of the zoo, such as gcn or 'gcn[hidden=16]', or your own: file.py:Net
    method: str = "magnitude"  # one method, optionally with settings; its sparsity and choices are varied
    objectives: str = "bytes"  # costs to make small, with commas: bytes,latency_ms
    trials: Whole = 50  # how many in all, those of earlier runs and of other processes counted in
    out: Path  # folder of the exploration
    budget: MaybeText = None  # bounds such as 'latency<=2ms,bytes<=100k', beyond which the search turns away
    storage: MaybeText = None  # URL of a database for machines that share no folder (default: a file in --out)
    epochs: MaybeWhole = None  # epochs each trial trains (default: the network's own)
    learning_rate: MaybeNumber = None  # of the optimiser (default: the network's own)
    patience: MaybeWhole = None  # epochs without progress before training stops (default: the network's own)
    seed: Whole = 0  # seed of weights, batches and splits, and of what is tried
    threads: MaybeWhole = None  # of every product (default: PyTorch's own); small networks are fastest with 1
    columns: MaybeColumns = None  # of an edge list: source,target,weight,time in its order; _ leaves one out
    string_ids: bool = False  # nodes of an edge list are names, whatever they look like

    def run(self, console: Console) -> dict[str, Any]:
        """Runs what is missing, prints the networks that no other beats, and returns the content of run.json."""
        from gossamer import report
        from gossamer.commands import inputs
        from gossamer.compression import explore, parse_methods
        from gossamer.recipes.changes import Changes
        from gossamer.recipes.sources import ModelSource, short

        inputs.check_folder(self.out)
        inputs.use_threads(self.threads)
        methods = parse_methods(self.method)
        if len(methods) != 1:
            raise SettingError(f"--method takes one method, found {len(methods)}: {', '.join(methods)}")
        (name, method), *_ = methods.items()
        objectives = [part.strip() for part in self.objectives.split(",") if part.strip()]
        changes = Changes(epochs=self.epochs, learning_rate=self.learning_rate, patience=self.patience)
        training = inputs.training(self.model, changes)
        tasks = inputs.tasks(self.data, self.task, columns=self.columns, string_ids=self.string_ids)
        frontier = explore(
            ModelSource(self.model, tasks, self.seed),
            tasks(self.seed),
            method,
            out=self.out,
            objectives=objectives,
            trials=self.trials,
            seed=self.seed,
            training=training,
            budget=self.budget,
            storage=self.storage,
            name=name,
            names={"data": short(self.data or self.task or ""), "model": short(self.model)},
        )
        run = frontier.to_json()
        failed = [cell for cell in run["cells"] if cell["status"] != "done"]
        if len(failed) == len(run["cells"]):
            why = failed[0]["error"] if failed else "other processes have them"
            raise TrainingError(f"no trial is finished ({why}); see {self.out}/run.json")
        page = report.write(run, self.out)
        best = {point for objective in objectives for point in map(_key, frontier.pareto(objective, confidence=None))}
        shown = [cell for cell in run["cells"] if (cell["method"], cell["sparsity"]) in best]
        console.print(report.table({**run, "cells": shown}))
        console.print(f"{len(shown)} of {len(run['cells'])} networks are beaten by no other", markup=False)
        if failed:
            console.print(f"{len(failed)} trials failed; the report says why", style="red")
        console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
        return run


def _key(point: Any) -> tuple[str, float | None]:
    return point.method, point.sparsity
