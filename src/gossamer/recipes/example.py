"""The example of a recipe file: every key with what it means; those that may be left out are commented out."""

from __future__ import annotations

import dataclasses
import textwrap

from gossamer.recipes.changes import Changes
from gossamer.recipes.recipe import Recipe
from gossamer.recipes.toml import value_text
from gossamer.settings import Settings

_TOP = """\
# A comparison for gossamer:
#   gossamer compare THIS-FILE         runs it, or goes on with it
#   gossamer recipe check THIS-FILE    lists what it would run
# Relative paths start at the folder of this file. Options on the command line override what stands here.
"""
_SET = ("data", "model", "methods", "out")  # not commented out: the smallest recipe that says what it compares


def example() -> str:
    """Returns the text of a TOML file that runs as it is, in about a minute."""
    top = [_entry(Recipe, field) for field in dataclasses.fields(Recipe) if field.name != "training"]
    changes = [_entry(Changes, field) for field in dataclasses.fields(Changes)]
    header = "# How each network trains; what is left out is the network's own.\n[training]\n"
    return "\n".join([_TOP, *top, header, *changes])


def _entry(kind: type[Settings], field: dataclasses.Field[object]) -> str:
    about = "\n".join(f"# {line}" for line in textwrap.wrap(field.metadata["doc"], 110))
    line = f"{field.name} = {value_text(field.metadata['example'])}"
    return f"{about}\n{line if kind is Recipe and field.name in _SET else f'# {line}'}\n"
