"""Finds the network behind a choice and writes it where the user wants it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.errors import FileError, SettingError
from gossamer.files import write_atomic
from gossamer.frontier.points import Point

if TYPE_CHECKING:
    from torch import nn

    from gossamer.cost import Budget
    from gossamer.frontier.frontier import Frontier

NETWORK = ".gossamer"
EXPORTED = (".onnx", ".pt2")


def best_cell(frontier: Frontier, choice: Point | Budget | None) -> dict[str, Any]:
    """Returns the record of the best seed on the validation split, of a point or of the best point in a budget.

    Raises:
        SettingError: Nothing is within the budget: no point, or no single seed of the point.
    """
    if isinstance(choice, Point):
        return _best(frontier, choice.cells)
    point = frontier.best(choice)
    if choice is None:
        return _best(frontier, point.cells)
    from gossamer.cost import Cost

    within = [cell for cell in point.cells if choice.met_by(Cost.from_json(cell["cost"]))]
    if not within:
        raise SettingError(f"{point.label} is within the budget on average, but no seed of it is; loosen a bound")
    return _best(frontier, within)


def network_file(frontier: Frontier, cell: dict[str, Any]) -> Path:
    """Returns where the network of a cell lies.

    Raises:
        FileError: The comparison is not on disk, or the network is not there.
    """
    if frontier.folder is None:
        raise FileError("the comparison is not on disk; read it with Frontier.load(folder) to export its networks")
    places = [frontier.folder / "cells" / str(cell.get("id", "")) / "model.gossamer"]
    if frontier.run.get("kind") == "compression":
        places.append(frontier.folder / "model.gossamer")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileError(f"{places[-1]}: is not there; run the comparison again to make its networks")
    return found


def export(
    frontier: Frontier,
    choice: Point | Budget | None,
    path: Path,
    example: tuple[Any, ...] | None,
    model: nn.Module | None = None,
) -> dict[str, Any]:
    """Writes the network of `best_cell` to `path` in the form its suffix asks for; see `Frontier.export`."""
    check_suffix(path)
    cell = best_cell(frontier, choice)
    source = network_file(frontier, cell)
    if path.suffix == NETWORK:
        content = source.read_bytes()
        write_atomic(path, lambda stream: stream.write(content))
        return cell
    if example is None:
        raise SettingError(f"{path}: a {path.suffix} file is traced; give an example of the network's arguments")
    from gossamer.deploy import load
    from gossamer.deploy.export import export as write

    write(load(source, model), example, path)
    return cell


def check_suffix(path: Path) -> None:
    """Refuses a name whose suffix says no form that a network can be written in.

    Raises:
        SettingError: Another suffix.
    """
    if path.suffix not in (NETWORK, *EXPORTED):
        raise SettingError(f"{path}: a network is written to a name that ends in {NETWORK}, {' or '.join(EXPORTED)}")


def _best(frontier: Frontier, cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sign = 1 if frontier.higher_is_better else -1
    return max(cells, key=lambda cell: sign * float(cell["validation"][frontier.metric]))
