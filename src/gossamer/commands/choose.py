"""`gossamer choose`: which network of a run to take, why, and the network itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gossamer.commands.command import MaybePath, MaybeText, Whole

if TYPE_CHECKING:
    from rich.console import Console

    from gossamer.frontier import Frontier


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Says which network of a run to take and why, and writes it where you want it.

    Within a budget the network of best quality is chosen; without one, the smallest that is level with dense, or the
    best where none is. Choices look at the validation split only; of its seeds, the best one is written.

    Examples:
      gossamer choose runs/cora
      gossamer choose runs/cora --budget 'bytes<=100k,latency_ms<=2' --export small.gossamer
      gossamer choose runs/cora --budget 'bytes<=100k' --export small.onnx
    """

    run_path: Annotated[Path, Positional, arg(metavar="RUN", help="run.json, or the folder it is in")] = field(
        metadata={"positional": True}
    )
    budget: MaybeText = None  # upper bounds on any cost, as in 'bytes<=100k,latency_ms<=2'
    export: MaybePath = None  # write the network to this name, ending in .gossamer, .onnx or .pt2
    seed: Whole = 0  # seed of the split that gives an .onnx or .pt2 file its example

    def run(self, console: Console) -> dict[str, Any]:
        """Prints the choice with its reasons, writes the network, and returns both as a JSON object."""
        from gossamer.cost import Budget
        from gossamer.frontier.frontier import Frontier
        from gossamer.frontier.networks import best_cell, check_suffix

        if self.export is not None:
            check_suffix(self.export)
        budget = None if self.budget is None else Budget.parse(self.budget)
        frontier = Frontier.load(self.run_path)
        advice = frontier.advice(budget)
        wanted = frontier.smallest_level() if budget is None else budget
        cell = best_cell(frontier, wanted)
        point = next(point for point in frontier.points() if cell in point.cells)
        for choice in advice.choices:
            console.print(f"{choice.question}: {choice.text}", markup=False, highlight=False)
        for warning in advice.warnings:
            console.print(f"Beware: {warning}", markup=False, highlight=False, style="yellow")
        console.print(advice.rule, markup=False, highlight=False, style="dim")
        console.print(f"Chosen: {point.label}, seed {cell['seed']}", markup=False, highlight=False)
        if self.export is not None:
            frontier.export(wanted, self.export, example=self._example(frontier))
            console.print(f"Network: {self.export}", markup=False, highlight=False, soft_wrap=True)
        return {
            "chosen": point.label,
            "id": cell.get("id"),
            "seed": cell["seed"],
            "validation": cell["validation"],
            "quality": cell["quality"],
            "cost": cell["cost"],
            "reasons": {choice.question: choice.text for choice in advice.choices},
            "warnings": list(advice.warnings),
            "export": str(self.export) if self.export is not None else None,
        }

    def _example(self, frontier: Frontier) -> tuple[Any, ...] | None:
        """Returns what the network takes, where the form asked for needs to be traced."""
        if self.export is None or self.export.suffix == ".gossamer":
            return None
        from gossamer.commands import inputs

        return inputs.task(frontier.run["data"], seed=self.seed, columns=None, string_ids=False).example()
