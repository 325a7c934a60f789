"""`gossamer compress`: one network made smaller by one method."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.commands.command import MaybeColumns, MaybeNumber, MaybePath, MaybeText, MaybeWhole, Whole
from gossamer.errors import SettingError

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from gossamer.compression import Method
    from gossamer.recipes.sources import TaskSource
    from gossamer.train import Training

FILE = "model.gossamer"


@dataclass(frozen=True, kw_only=True)
class Compress:
    """Trains a network, makes it smaller, and writes it with a report of what that cost.

    The dense network is trained first, for as many epochs as the method then gets; a saved one is taken as it
    is. A killed run goes on when given again. Writes model.gossamer, run.json and report.html.

    Examples:
      gossamer compress --data cora --model gcn --method rigl --sparsity 0.9 --out runs/small
      gossamer compress --data cora --model gcn --method magnitude --budget 'bytes<=100k' --out runs/fits
      gossamer compress --data collegemsg --task temporal-link --model fnn --method rigl --out runs/links
      gossamer compress --task own_model.py:make_task --model own_model.py:Net --out runs/own
    """

    data: MaybeText = None  # a data set by name (`gossamer datasets` lists them), or path/to/edges.csv
    task: MaybeText = None  # your own data, package.module:factory or file.py:factory; or temporal-link of --data
    model: str  # a network of the zoo, such as gcn or 'gcn[hidden=16]', a saved one, or your own: file.py:Net
    weights: MaybePath = None  # a saved file of your own network, whose class --model then names
    method: str = "magnitude"  # optionally with settings; several with commas are applied in turn
    sparsity: MaybeNumber = None  # fraction of the weights to remove (default: the method's own)
    budget: MaybeText = None  # bounds such as 'latency_ms<=2,bytes<=100k'; the sparsity is searched for
    out: Path  # folder of the results
    epochs: MaybeWhole = None  # epochs of training (default: the network's own)
    learning_rate: MaybeNumber = None  # of the optimiser (default: the network's own)
    patience: MaybeWhole = None  # epochs without progress before training stops (default: the network's own)
    seed: Whole = 0  # seed of weights, batches and splits
    threads: MaybeWhole = None  # of every product (default: PyTorch's own); small networks are fastest with 1
    torch_compile: bool = False  # also measure latency under torch.compile: seconds to minutes a network
    columns: MaybeColumns = None  # of an edge list: source,target,weight,time in its order; _ leaves one out
    string_ids: bool = False  # nodes of an edge list are names, whatever they look like

    def run(self, console: Console) -> dict[str, Any]:
        """Compresses, prints the table, and returns the content of run.json."""
        from gossamer import files, report
        from gossamer.commands import inputs
        from gossamer.compression import compress, describe_run
        from gossamer.cost import Budget
        from gossamer.recipes.sources import short

        inputs.check_folder(self.out)
        inputs.use_threads(self.threads)
        methods = self._methods()
        budget = None if self.budget is None else Budget.parse(self.budget)
        tasks = inputs.tasks(self.data, self.task, columns=self.columns, string_ids=self.string_ids)
        task = inputs.task_for(self.model, self.weights, tasks, seed=self.seed)
        model, training = self._start(tasks)
        result = compress(
            model,
            task,
            methods,
            training=training,
            budget=budget,
            seed=self.seed,
            label=self.method,
            checkpoint=self.out / "checkpoints",
            torch_compile=self.torch_compile,
        )
        cell = {**result.to_json(), "id": self.method, "status": "done", "error": None}
        data = short(self.data or self.task or "")
        described = describe_run("compression", task, training, data=data, model=short(self.model))
        run = {**described, "cells": [cell]}
        result.save(self.out / FILE)
        files.write_json(self.out / "run.json", run)
        page = report.write(run, self.out)
        shutil.rmtree(self.out / "checkpoints", ignore_errors=True)
        console.print(report.table(run))
        if task.stages():
            took = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in task.stages().items())
            console.print(f"Making the task took: {took}", markup=False, highlight=False)
        for note in result.notes:
            console.print(note, markup=False)
        console.print(f"Network: {self.out / FILE}\nReport: {page}", markup=False, highlight=False, soft_wrap=True)
        return run

    def _methods(self) -> list[Method]:
        from gossamer.compression import parse_methods

        methods = list(parse_methods(self.method).values())
        if self.sparsity is None:
            return methods
        if self.budget is not None:
            raise SettingError("--sparsity and --budget exclude each other; a budget searches for the sparsity")
        last = methods[-1]
        if not last.knob:
            raise SettingError(f"--sparsity: {self.method} has nothing to set by it; leave it out")
        return [*methods[:-1], last.replace(**{last.knob: self.sparsity})]

    def _start(self, tasks: TaskSource) -> tuple[nn.Module, Training]:
        """Returns the network to compress, trained, and how to train it on."""
        from gossamer.commands import inputs
        from gossamer.compression import compress, method
        from gossamer.recipes.changes import Changes

        changes = Changes(epochs=self.epochs, learning_rate=self.learning_rate, patience=self.patience)
        found = inputs.saved(self.model, self.weights, tasks, seed=self.seed)
        if found is not None:
            return found, inputs.training(getattr(found, "zoo", {"name": None})["name"], changes)
        training = inputs.training(self.model, changes)
        dense = compress(
            inputs.network(self.model, tasks, seed=self.seed),
            tasks(self.seed),
            method("dense"),
            training=training,
            seed=self.seed,
            checkpoint=self.out / "checkpoints" / "dense",
            accelerate=False,
            latency=False,
        )
        return dense.model, training
