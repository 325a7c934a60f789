"""`gossamer recipe`: writes an example of a recipe file, or checks one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from gossamer.errors import FileError, SettingError

if TYPE_CHECKING:
    from rich.console import Console

_DEFAULT = Path("recipe.toml")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Writes a commented recipe file (init), or checks one and lists what it would run (check).

    Checking imports your own code that the file names, but calls none of it, reads no data and trains nothing.

    Examples:
      gossamer recipe init recipe.toml
      gossamer recipe check recipe.toml
    """

    action: Annotated[Literal["init", "check"], Positional, arg(metavar="init|check", help="what to do")] = field(
        metadata={"positional": True}
    )
    path: Annotated[
        Path | None, Positional, arg(metavar="[FILE]", help="the file (init: recipe.toml)", help_behavior_hint="")
    ] = field(default=None, metadata={"positional": True})

    def run(self, console: Console) -> dict[str, Any]:
        """Writes or checks, and returns `{"recipe": path}` or the recipe with its cells."""
        if self.action == "init":
            return self._init(console)
        if self.path is None:
            raise SettingError("recipe check needs a file, as in gossamer recipe check recipe.toml")
        return self._check(self.path, console)

    def _init(self, console: Console) -> dict[str, Any]:
        from gossamer.files import write_text
        from gossamer.recipes.example import example

        path = self.path or _DEFAULT
        if path.suffix.lower() != ".toml":
            raise SettingError(f"{path}: the example is TOML; give a name that ends in .toml")
        if path.exists():
            raise FileError(f"{path}: exists already and is left as it is; give another name")
        write_text(path, example())
        console.print(f"Recipe: {path}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"Run it: gossamer compare {path}", markup=False, highlight=False, soft_wrap=True)
        return {"recipe": str(path)}

    def _check(self, path: Path, console: Console) -> dict[str, Any]:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        from gossamer.recipes import Recipe as Read
        from gossamer.recipes.plan import check_sources, plan

        recipe = Read.load(path)
        check_sources(recipe)
        settings = plan(recipe)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("method", "setting", "seeds"):
            table.add_column(title)
        seeds = ", ".join(map(str, recipe.seeds))
        for label, setting in settings:
            table.add_row(Text(label), setting, seeds)
        console.print(table)
        cells = len(settings) * len(recipe.seeds)
        console.print(
            f"{cells} networks of {recipe.model} on {recipe.data or recipe.task}, "
            f"{recipe.trains().epochs} epochs each, into {recipe.out}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        planned = [
            {"method": label, "setting": setting, "seed": s} for label, setting in settings for s in recipe.seeds
        ]
        return {"recipe": recipe.to_json(), "training": recipe.trains().to_json(), "cells": planned}
