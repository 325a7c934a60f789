"""The curves of training as small panels, one a method, on shared axes."""

from __future__ import annotations

from typing import Any

from gossamer import units
from gossamer.frontier.frontier import Frontier
from gossamer.frontier.points import Point
from gossamer.report import chart
from gossamer.report.frontier import methods, series_class
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.sections.parts import section, swatch, switch

_CURVE_POINTS = 50  # of one curve: about one every six pixels of a panel
_ALL_POINTS = 1500  # of all curves together, so that the page stays small

Line = list[tuple[float, float]]


def make(frontier: Frontier) -> Markup | None:
    """Returns the validation metric and the training loss by epoch."""
    views, names = [], []
    most = max(8, min(_CURVE_POINTS, _ALL_POINTS // max(len(frontier.points()), 1)))
    for key, title in ((frontier.metric, f"Validation {frontier.metric}"), ("train_loss", "Training loss")):
        curves = {
            m: [(p, c) for p in frontier.points() if p.method == m and (c := _curve(p, key, most))]
            for m in methods(frontier)
        }
        values = [v for lines in curves.values() for _, line in lines for _, v in line]
        if not values:
            continue
        last = max(e for lines in curves.values() for _, line in lines for e, _ in line)
        panels = [
            _panel(frontier, m, lines=lines, values=values, last=last, key=key) for m, lines in curves.items() if lines
        ]
        views.append(tag("div", *panels, class_="view panels", data_view=key))
        names.append((key, title))
    if not views:
        return None
    return section(
        "training",
        "How training went",
        switch("curve", "Curve", names),
        tag("div", *views, class_="views", data_views="curve"),
        note="Mean over seeds, by epoch, on the same axes; in a panel, fainter lines are sparser networks.",
    )


def _curve(point: Point, key: str, most: int) -> Line:
    """Returns (epoch, mean over the seeds that reached it) of one curve, thinned to `most` points."""
    sums: dict[float, list[float]] = {}
    for cell in point.cells:
        history: dict[str, Any] = cell.get("history") or {}
        values = history.get("train_loss") if key == "train_loss" else (history.get("validation") or {}).get(key)
        for epoch, value in zip(history.get("epoch") or [], values or [], strict=False):
            if value is not None:
                sums.setdefault(float(epoch), []).append(float(value))
    line = [(epoch, sum(values) / len(values)) for epoch, values in sorted(sums.items())]
    stride = -(-len(line) // most)
    return line[::stride] if stride > 1 else line


def _panel(
    frontier: Frontier, method: str, *, lines: list[tuple[Point, Line]], values: list[float], last: float, key: str
) -> Markup:
    width, height = 340.0, 210.0
    x = chart.Scale(low=0.0, high=max(last, 1.0), start=52, end=width - 14)
    y = chart.fit_scale(values, height - 46, 34)
    percentage = key != "train_loss" and units.is_percentage(key)
    drawn: list[Child] = list(
        chart.axes(
            x,
            y,
            x_ticks=x.ticks(4),
            y_ticks=y.ticks(5),
            write_x=lambda v: units.significant(v, 6),
            write_y=units.percent if percentage else units.significant,
            x_title="epoch",
        )
    )
    ordered = sorted(lines, key=lambda item: item[0].sparsity or 0.0)
    for index, (point, line) in enumerate(ordered):
        opacity = 1.0 - 0.65 * index / max(len(ordered) - 1, 1)
        d = chart.path([(x(epoch), y(value)) for epoch, value in line])
        name = tag("title", point.label)
        drawn.append(tag("path", name, class_=f"curve {series_class(frontier, method)}", d=d, stroke_opacity=opacity))
    drawing = chart.svg(width, height, *drawn, title=f"{key} of {method} by epoch")
    return tag("figure", tag("figcaption", swatch(frontier, method), method), drawing, class_="panel")
