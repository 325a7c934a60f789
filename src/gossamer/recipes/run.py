"""Runs a recipe, and leaves it beside its results."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from gossamer.compression import Frontier, compare
from gossamer.errors import FileError, GossamerError, SettingError
from gossamer.models.zoo import build
from gossamer.recipes.recipe import Recipe
from gossamer.recipes.sources import short
from gossamer.references import is_reference

FILE = "recipe.toml"


def run(recipe: Recipe, *, progress: bool = True) -> Frontier:
    """Runs what is missing of a comparison; as `Recipe.run`."""
    check_folder(recipe.out)
    _check_same_files(recipe, recipe.out / FILE)
    tasks = recipe.tasks()
    network: Callable[[], nn.Module] = recipe.network(tasks)
    made: Any = network()  # what does not fit is found before anything trains
    if not is_reference(recipe.model):  # so that a worker need not read the data to know the widths
        network = functools.partial(build, made.zoo["name"], **made.zoo["arguments"])
    recipe.save(recipe.out / FILE)
    return compare(
        network,
        tasks,
        recipe.settings(),
        out=recipe.out,
        sparsities=recipe.at(),
        budgets=recipe.budgets,
        seeds=recipe.seeds,
        training=recipe.trains(),
        names={"data": short(recipe.data or recipe.task or ""), "model": short(recipe.model)},
        engine=recipe.engine,
        workers=recipe.workers,
        threads=recipe.threads,
        accelerate=recipe.accelerate,
        latency=recipe.latency,
        torch_compile=recipe.torch_compile,
        progress=progress,
    )


def check_folder(folder: Path) -> None:
    """Refuses an output folder that could not be made or written, before anything has been trained for it.

    Raises:
        FileError: It, or the nearest folder above it that exists, is a file or may not be written.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise FileError(f"{folder}: cannot be written, {nearest} is no writable folder; choose another --out")


def _check_same_files(recipe: Recipe, path: Path) -> None:
    """Refuses a folder whose results are of another file of the same name.

    Cells are known by the file's name without its folders, so that a comparison goes on wherever it is called from.
    """
    if not path.exists():
        return
    try:
        earlier = Recipe.load(path)
    except GossamerError:  # of another version; the cells have ids of their own
        return
    for key in ("data", "task", "model"):
        before, now = getattr(earlier, key) or "", getattr(recipe, key) or ""
        if short(before) == short(now) and Path(before).absolute() != Path(now).absolute():
            raise SettingError(f"{recipe.out} holds results of {key} {before}, not of {now}; choose another --out")
