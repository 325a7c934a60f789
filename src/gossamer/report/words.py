"""Says in plain words what a run found. No speed-up is claimed that a clock did not show."""

from __future__ import annotations

import shlex

from gossamer import units
from gossamer.report.summary import Axis, Point, Summary


def headline(summary: Summary) -> str:
    """Returns a sentence on the smallest network that is level with the dense one, or on there being none."""
    if not any(point is not summary.baseline for point in summary.points):
        return "No compressed network was finished."
    if summary.baseline is None:
        return "There is no dense network in this run to compare with."
    point = summary.pick()
    if point is None:
        closest = min((p for p in summary.points if p is not summary.baseline), key=summary.loss)
        change = units.quality(summary.metric, closest.quality.mean - summary.baseline.quality.mean, signed=True)
        return (
            f"No compressed network was level with the dense one ({_quality(summary, summary.baseline)}); "
            f"the closest is {closest.label}, {change} {summary.metric}."
        )
    gains = [gain for key in ("bytes", "macs", "latency_ms") if (gain := _gain(summary, point, key))]
    return (
        f"{point.label} is the smallest network that is level with the dense one: {summary.metric} "
        f"{_quality(summary, point)} against {_quality(summary, summary.baseline)}"
        + (f", with {_listed(gains)}." if gains else ".")
    )


def rule(summary: Summary) -> str:
    """Returns what `headline` means by level, and over what the figures were taken."""
    seeds = sorted({cell["seed"] for point in summary.points for cell in point.cells})
    allowed = units.quality(summary.metric, summary.tolerance())
    over = f"the mean over {len(seeds)} seeds ± one sample standard deviation" if len(seeds) > 1 else "from one seed"
    return (
        f"Every figure is {over}, on the test split. Level means at most {allowed} worse than the dense "
        f"network on the validation split: its own spread over seeds, at least 1 % of its value. Bytes and "
        f"multiply-accumulates are counted; latency is measured on the machine named below."
    )


def change(axis: Axis, ratio: float) -> str:
    """Returns a cost's ratio, dense over compressed, in words.

    >>> from gossamer.report.summary import AXES
    >>> change(AXES[0], 9.12), change(AXES[2], 0.8), change(AXES[2], 1.01)
    ('9.1× fewer bytes', '1.2× slower', 'the same latency')
    """
    if 0.95 < ratio < 1.05:  # as good as it rounds to
        return f"the same {axis.title.lower()}"
    if ratio > 1:
        return f"{units.factor(ratio)} {axis.fewer}"
    opposite = {"faster": "slower", "cheaper training": "costlier training", "less memory": "more memory"}
    return f"{units.factor(1 / ratio)} {opposite.get(axis.fewer, axis.fewer.replace('fewer', 'more'))}"


def kernels(point: Point) -> str:
    """Returns how many layers of a point run which kernel, from its first cell."""
    layers = point.cells[0].get("layers") or []
    counts: dict[str, int] = {}
    for layer in layers:
        counts[layer.get("kernel") or "dense"] = counts.get(layer.get("kernel") or "dense", 0) + 1
    return ", ".join(
        f"{number} {units.TIMES} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1])
    )


def command(summary: Summary) -> str:
    """Returns the command line that runs this comparison again."""
    cells = summary.run["cells"]
    methods = list(dict.fromkeys(str(cell["method"]) for cell in cells))
    sparsities = sorted({cell["sparsity"] for cell in cells if cell.get("sparsity")})
    seeds = sorted({cell["seed"] for cell in cells})
    epochs = (summary.run.get("training") or {}).get("epochs")
    parts = [
        f"gossamer compare --data {shlex.quote(str(summary.run.get('data', '')))}",
        f"--model {shlex.quote(str(summary.run.get('model', '')))}",
        f"--methods {shlex.quote(','.join(methods))}",
        f"--sparsities {','.join(f'{value:g}' for value in sparsities)}" if sparsities else "",
        f"--seeds {','.join(map(str, seeds))}",
        f"--epochs {epochs}" if epochs else "",
        "--out DIR",
    ]
    return " ".join(part for part in parts if part)


def _gain(summary: Summary, point: Point, key: str) -> str | None:
    axis = next((axis for axis in summary.axes if axis.key == key), None)
    ratio = summary.ratio(point, key)
    if axis is None or ratio is None:
        return None
    return change(axis, ratio) + (" measured here" if axis.measured else "")


def _quality(summary: Summary, point: Point) -> str:
    return units.quality(summary.metric, point.quality.mean, point.quality.deviation)


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
