"""Layer by layer, for one point at a time: what was removed, which kernel runs, how long it takes, and why."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

from gossamer import units
from gossamer.frontier.frontier import Frontier
from gossamer.frontier.points import Point
from gossamer.report import words
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.sections.parts import section, size, table

_ROWS = 230  # of all tables together; a page stays under 250 kB

_HEADS = ("Layer", "Kind and shape", "Zeros", "Nonzeros", "On the engine", "In PyTorch", "Dense", "Best sparse", "Why")
_NOTE = (
    "On the engine each layer has the kernel that measured fastest; in PyTorch a sparse kernel replaces a dense one "
    "only where it measured faster, and the times and reasons are of PyTorch. Figures are means over seeds; "
    "bars of time share one scale in a table."
)


def make(frontier: Frontier) -> Markup | None:
    """Returns a table a point, of which the page's script shows the one chosen."""
    points, shown = frontier.points(), tabled(frontier)
    if not shown:
        return None
    picked = frontier.smallest_level()
    first = picked if picked in shown else shown[-1]
    names = [f"p{points.index(point)}" for point in shown]
    options = [
        tag("option", point.label, value=name, selected=point is first)
        for name, point in zip(names, shown, strict=True)
    ]
    chooser = tag(
        "label", "Network ", tag("select", *options, data_switch="layer", id="layer"), class_="script chooser"
    )
    views = [_view(point, name) for name, point in zip(names, shown, strict=True)]
    left_out = sum(bool(point.cells[0].get("layers")) for point in points) - len(shown)
    more = f" The layers of {left_out} more networks are in run.json." if left_out else ""
    return section(
        "layers",
        "Layer by layer",
        chooser,
        tag("div", *views, class_="views", data_views="layer"),
        note=_NOTE + more,
    )


def tabled(frontier: Frontier) -> list[Point]:
    """Returns the points with a table: all where there is room, else first what the advice and the Pareto set name."""
    known = [point for point in frontier.points() if point.cells[0].get("layers")]
    front = frontier.pareto("bytes", confidence=None) if any("bytes" in point.costs for point in known) else []
    named = [choice.point for choice in frontier.advice().choices]
    kept: list[Point] = []
    rows = 0
    for point in sorted(known, key=lambda point: (point not in named, point not in front)):
        rows += len(point.cells[0]["layers"])
        if rows <= _ROWS or not kept:
            kept.append(point)
    return [point for point in known if point in kept]


def _view(point: Point, name: str) -> Markup:
    layers: dict[str, list[dict[str, Any]]] = {}
    for cell in point.cells:
        for layer in cell.get("layers") or []:
            layers.setdefault(layer["name"], []).append(layer)
    times = [layer.get(key) for records in layers.values() for layer in records for key in ("dense_ms", "kernel_ms")]
    longest = max((value for value in times if value is not None), default=0.0)
    rows = [_row(records, longest) for records in layers.values()]
    seeds = ", ".join(str(seed) for seed in point.seeds)
    caption = f"{point.label}, seed{'' if len(point.seeds) == 1 else 's'} {seeds}: {words.kernels(point)}"
    made = table(f"Layers of {point.label}", caption, _HEADS, rows, class_="text")
    return tag("div", made, class_="view", id=f"layers-{name}", data_view=name)


def _row(records: list[dict[str, Any]], longest: float) -> Markup:
    """Returns one layer, over the seeds that recorded it."""
    layer = records[0]
    sparsity = statistics.fmean(record["sparsity"] for record in records)
    nonzeros = statistics.fmean(record["nonzeros"] for record in records)
    return tag(
        "tr",
        tag("th", tag("code", layer["name"]), scope="row"),
        tag("td", f"{layer.get('kind', '')} {size(layer.get('shape'))}"),
        _bar(units.percent(sparsity), sparsity),
        tag("td", f"{units.count(nonzeros)} of {units.count(layer['parameters'])}"),
        tag("td", _kernels(record.get("engine") or units.MISSING for record in records)),
        tag("td", _kernels(record.get("kernel") or "dense" for record in records)),
        _time(records, "dense_ms", longest),
        _time(records, "kernel_ms", longest),
        tag("td", layer.get("reason") or "", class_="why"),
    )


def _kernels(names: Iterable[str]) -> Child:
    """Returns the kernel of a layer, with counts where seeds differ."""
    kernels = Counter(names)
    if len(kernels) == 1:
        return next(iter(kernels))
    return ", ".join(f"{name} ({count} of {kernels.total()})" for name, count in kernels.most_common())


def _time(records: list[dict[str, Any]], key: str, longest: float) -> Markup:
    known = [record[key] for record in records if record.get(key) is not None]
    if not known:
        return tag("td", units.MISSING)
    mean = statistics.fmean(known)
    return _bar(units.milliseconds(mean), mean / longest if longest else 0.0)


def _bar(text: str, share: float) -> Markup:
    return tag("td", text, class_="meter", style=f"--share:{share * 100:.0f}%")
