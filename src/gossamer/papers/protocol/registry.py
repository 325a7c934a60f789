"""Papers by id: every module of `gossamer.papers` is imported, and each registers the paper it is about."""

from __future__ import annotations

import importlib
import pkgutil

from gossamer.errors import SettingError, unknown
from gossamer.papers.protocol.paper import Paper

_REGISTERED: dict[str, Paper] = {}


def register(paper: Paper) -> Paper:
    """Makes a paper known and returns it.

    Raises:
        SettingError: The id is taken.
    """
    if paper.id in _REGISTERED and _REGISTERED[paper.id] != paper:
        raise SettingError(f"paper id {paper.id!r} is taken; choose another")
    _REGISTERED[paper.id] = paper
    return paper


def papers() -> dict[str, Paper]:
    """Returns every registered paper by id, sorted."""
    package = importlib.import_module("gossamer.papers")
    for module in pkgutil.iter_modules(package.__path__, prefix="gossamer.papers."):
        importlib.import_module(module.name)
    return dict(sorted(_REGISTERED.items()))


def paper(name: str) -> Paper:
    """Returns the paper with this id.

    Raises:
        SettingError: There is none; the nearest is named.
    """
    known = papers()
    if name not in known:
        raise SettingError(unknown("paper", name, known))
    return known[name]
