"""Says in plain words what a run found. No speed-up is claimed that a clock did not show."""

from __future__ import annotations

import shlex

from gossamer import units
from gossamer.frontier.axes import axis, change
from gossamer.frontier.frontier import Frontier
from gossamer.frontier.points import Point


def headline(frontier: Frontier) -> str:
    """Returns a sentence on the smallest network that is level with the dense one, or on there being none."""
    if not frontier.compressed:
        return "No compressed network was finished."
    if frontier.dense is None:
        return "There is no dense network in this run to compare with."
    point = frontier.smallest_level()
    if point is None:
        closest = max(frontier.compressed, key=frontier.gain)
        gap = units.difference(frontier.metric, closest.test.mean - frontier.dense.test.mean)
        return (
            f"No compressed network was level with the dense one ({_quality(frontier, frontier.dense)}); "
            f"the closest is {closest.label}, {gap} of {frontier.metric}."
        )
    gains = [gain for key in ("bytes", "macs", "latency_ms") if (gain := _gain(frontier, point, key))]
    return (
        f"{point.label} is the smallest network that is level with the dense one: {frontier.metric} "
        f"{_quality(frontier, point)} against {_quality(frontier, frontier.dense)}"
        + (f", with {_listed(gains)}." if gains else ".")
    )


def kernels(point: Point) -> str:
    """Returns how many layers of a point run which kernel, from its first cell."""
    counts: dict[str, int] = {}
    for layer in point.cells[0].get("layers") or []:
        counts[layer.get("kernel") or "dense"] = counts.get(layer.get("kernel") or "dense", 0) + 1
    return ", ".join(
        f"{number} {units.TIMES} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1])
    )


def command(frontier: Frontier) -> str:
    """Returns the command line that runs this comparison again."""
    cells = frontier.cells
    methods = list(dict.fromkeys(str(cell["method"]) for cell in cells))
    sparsities = sorted({cell["sparsity"] for cell in cells if cell.get("sparsity") and not cell.get("budget")})
    budgets = list(dict.fromkeys(str(cell["budget"]) for cell in cells if cell.get("budget")))
    seeds = sorted({cell["seed"] for cell in cells})
    epochs = (frontier.run.get("training") or {}).get("epochs")
    parts = [
        f"gossamer compare --data {shlex.quote(str(frontier.run.get('data', '')))}",
        f"--model {shlex.quote(str(frontier.run.get('model', '')))}",
        f"--methods {shlex.quote(','.join(methods))}",
        f"--sparsities {','.join(f'{value:g}' for value in sparsities)}" if sparsities else "",
        f"--budgets {shlex.quote(';'.join(budgets))}" if budgets else "",
        f"--seeds {','.join(map(str, seeds))}",
        f"--epochs {epochs}" if epochs else "",
        "--out DIR",
    ]
    return " ".join(part for part in parts if part)


def _gain(frontier: Frontier, point: Point, key: str) -> str | None:
    ratio = frontier.ratio(point, key)
    if ratio is None:
        return None
    return change(axis(key), ratio) + (" measured here" if axis(key).measured else "")


def _quality(frontier: Frontier, point: Point) -> str:
    return units.quality(frontier.metric, point.test.mean, point.test.half_width())


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
