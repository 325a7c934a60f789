"""What a recipe would run, and whether what it names is there, before anything runs."""

from __future__ import annotations

from gossamer.errors import DataError, unknown
from gossamer.recipes.paths import names_file
from gossamer.recipes.recipe import Recipe
from gossamer.references import Reference, is_reference


def plan(recipe: Recipe) -> list[tuple[str, str]]:
    """Returns (label, setting) of each network that is trained with each seed.

    A method with a knob runs at each sparsity and under each budget, one without as it is.
    """
    found = []
    for label, method in recipe.settings().items():
        settings = [f"{method.knob} {value:g}" for value in recipe.at()] + list(recipe.budgets) if method.knob else []
        found += [(label, setting) for setting in settings or ["as it is"]]
    return found


def check_sources(recipe: Recipe) -> None:
    """Refuses a data set, file, module or attribute that is not there; the user's modules are imported.

    Raises:
        GossamerError: As `Reference.resolve`; or there is no data set or file of this name.
    """
    for text in (recipe.task, recipe.model):
        if text is not None and is_reference(text):
            Reference.parse(text).resolve()
    if recipe.data is None:
        return
    from pathlib import Path

    from gossamer.tasks import datasets

    if names_file(recipe.data, Path()):
        if not Path(recipe.data).is_file():
            raise DataError(f"{recipe.data}: there is no such file; check the path")
    elif recipe.data not in datasets.names():
        raise DataError(unknown("data set", recipe.data, datasets.names()) + "; or give the path of an edge list")
