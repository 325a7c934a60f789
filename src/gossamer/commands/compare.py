"""`gossamer compare`: many methods, sparsities and seeds on one network and one data set."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gossamer.commands.recipe_options import given, recipe_options
from gossamer.errors import SettingError, TrainingError
from gossamer.recipes.recipe import Recipe

if TYPE_CHECKING:
    from rich.console import Console


class _Compare:
    """Compares methods on one network and one data set, at equal training.

    Every finished cell (a method at a setting with a seed) is on disk before the next starts: the same command again
    goes on where it stopped. Writes run.json, recipe.toml, report.html, frontier.svg and every network. Everything may
    stand in a recipe file (`gossamer recipe init` writes one); options given here override it.

    Examples:
      gossamer compare --data digits-graph --model gcn --methods dense,rigl,magnitude --out runs/digits
      gossamer compare --data cora --model 'gcn[hidden=16]' --methods 'dense,rigl[every=50]' --out runs/cora
      gossamer compare --task own_model.py:make_task --model own_model.py:Net --out runs/own
      gossamer compare recipe.toml --seeds 0,1,2,3,4
    """

    def run(self, console: Console) -> dict[str, Any]:
        """Runs what is missing, prints the table, and returns the content of run.json."""
        from gossamer import report

        recipe = self.read()
        run = recipe.run().to_json()
        failed = [cell for cell in run["cells"] if cell["status"] == "failed"]
        if len(failed) == len(run["cells"]):
            raise TrainingError(
                f"all {len(failed)} cells failed, the first: {failed[0]['error']}; see {recipe.out}/run.json"
            )
        page = report.write(run, recipe.out)
        report.frontier_svg(run, recipe.out / "frontier.svg")
        console.print(report.table(run))
        notes = Counter((cell["method"], note) for cell in run["cells"] for note in cell.get("notes") or [])
        for (method, note), count in notes.items():
            console.print(f"{method}: {note} ({count} of {len(run['cells'])} cells)", markup=False, highlight=False)
        if failed:
            console.print(f"{len(failed)} of {len(run['cells'])} cells failed; the report says why", style="red")
        console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
        return run

    def read(self) -> Recipe:
        """Returns the recipe that the file and the options make together."""
        file, named = getattr(self, "recipe_path", None), getattr(self, "recipe", None)
        if file is not None and named is not None:
            raise SettingError(f"two recipes are given, {file} and {named}; give one")
        options = given(self)
        if file is not None or named is not None:
            return Recipe.load(file or str(named), options)
        missing = [f"--{name}" for name in ("model", "out") if name not in options]
        if not {"data", "task"} & set(options):
            missing.insert(0, "--data (or --task)")
        if missing:
            raise SettingError(f"compare needs {' and '.join(missing)}, or a recipe file; see gossamer compare --help")
        return Recipe.make(options)


_FILE = Annotated[
    Path | None, Positional, arg(metavar="[RECIPE]", help="a recipe file, TOML or YAML", help_behavior_hint="")
]
_NAMED = Annotated[Path | None, arg(metavar="FILE", help="the same, as an option", help_behavior_hint="")]

Compare = dataclasses.make_dataclass(
    "Compare",
    [
        ("recipe_path", _FILE, dataclasses.field(default=None, metadata={"positional": True})),
        ("recipe", _NAMED, dataclasses.field(default=None)),
        *recipe_options(),
    ],
    bases=(_Compare,),
    namespace={"__doc__": _Compare.__doc__, "__module__": __name__},
    frozen=True,
    kw_only=True,
)
