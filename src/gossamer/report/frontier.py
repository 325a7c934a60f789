"""Draws quality against a cost: a mark per method and sparsity, whiskers over seeds, and the Pareto front.

A point is on the front where no other point has both more quality and less cost. Whiskers span one sample
standard deviation over seeds in each direction.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gossamer import files, units
from gossamer.errors import DataError, unknown
from gossamer.report import chart, theme
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.summary import AXES, Axis, Point, Spread, Summary, summarize

_LABEL_HEIGHT = 14.0
_CHARACTER = 6.4  # mean width of a label's character, pixels


def frontier(summary: Summary, axis: Axis, *, width: float, height: float) -> Markup:
    """Returns the chart of one cost, interactive where the page's script runs.

    Args:
        summary: The run, averaged over seeds.
        axis: The cost on the x axis.
        width: Pixels of the picture's box.
        height: Pixels of the picture's box.
    """
    title = f"{summary.metric} against {axis.title.lower()}"
    return chart.svg(width, height, *_marks(summary, axis, width, height), title=title)


def frontier_svg(run: dict[str, Any] | str | Path, path: str | Path, *, cost: str = "bytes") -> Path:
    """Writes the frontier of a run as a picture that follows a light or dark reader.

    Args:
        run: A run, or the path of its file or folder.
        path: Where the SVG goes.
        cost: The cost on the x axis, a field of `Cost`.

    Raises:
        DataError: The run has no point with that cost.
        FileError: The run could not be read or the picture not written.
    """
    summary = summarize(run)
    axis = next((axis for axis in summary.axes if axis.key == cost), None)
    if axis is None:
        raise DataError(unknown("cost axis", cost, [a.key for a in summary.axes] or [a.key for a in AXES]))
    width, height = 860.0, 470.0
    legend, rows = _legend(summary, width, height)
    total = height + rows * 24 + 12
    subject = f"{summary.run.get('model')} on {summary.run.get('data')}"
    title = f"{summary.metric} against {axis.title.lower()}: {subject}"
    picture = chart.svg(
        width,
        total,
        tag("style", Markup(theme.picture_style())),
        tag("rect", class_="back", width=width, height=total, rx=10),
        *_marks(summary, axis, width, height),
        *legend,
        title=title,
        standalone=True,
    )
    return files.write_text(path, picture + "\n")


def series_class(summary: Summary, method: str) -> str:
    """Returns the CSS class that colours a method's marks."""
    if method not in summary.methods:
        return "dense"
    return f"s{summary.methods.index(method) % theme.SERIES}"


def shape(summary: Summary, method: str) -> str:
    """Returns the path of a method's marker."""
    return theme.marker(summary.methods.index(method)) if method in summary.methods else theme.DENSE_MARKER


def describe(summary: Summary, point: Point, axis: Axis) -> str:
    """Returns a point in one line: what it is, its quality, its cost, over how many seeds."""
    quality = units.quality(summary.metric, point.quality.mean, point.quality.deviation)
    seeds = "1 seed" if point.quality.count == 1 else f"{point.quality.count} seeds"
    cost = f"{axis.title.lower()} {axis.write(point.costs[axis.key].mean)}"
    return f"{point.label}: {summary.metric} {quality}, {cost}, {seeds}"


def _marks(summary: Summary, axis: Axis, width: float, height: float) -> list[Child]:
    points = [point for point in summary.points if axis.key in point.costs]
    x = chart.fit_scale([end for p in points for end in _ends(p.costs[axis.key])], 58, width - 22, log=True, pad=0.08)
    y = chart.fit_scale([end for p in points for end in _ends(p.quality)], height - 52, 40, pad=0.08)
    drawn: list[Child] = list(
        chart.axes(
            x,
            y,
            x_ticks=x.ticks(7 if width > 500 else 4),
            y_ticks=y.ticks(6),
            write_x=axis.write,
            write_y=lambda v: units.percent(v) if units.is_percentage(summary.metric) else units.significant(v),
            x_title=f"{axis.title}{' (log scale)' if x.log else ''}",
            y_title=summary.metric,
        )
    )
    better = "↖ better" if summary.higher_is_better else "↙ better"
    drawn.append(tag("text", better, x=width - 22, y=24.0, text_anchor="end"))
    front = summary.pareto(axis.key)
    if len(front) > 1:
        steps = [(x(p.costs[axis.key].mean), y(p.quality.mean)) for p in front]
        drawn.append(tag("path", class_="front", d=_staircase(steps)))
    for method in summary.methods:
        trail = sorted((p for p in points if p.method == method), key=lambda p: p.costs[axis.key].mean)
        if len(trail) > 1:
            line = chart.path([(x(p.costs[axis.key].mean), y(p.quality.mean)) for p in trail])
            drawn.append(tag("path", class_=f"trail {series_class(summary, method)}", d=line, data_series=method))
    drawn.extend(_mark(summary, point, axis, x, y) for point in points)
    drawn.extend(_labels(front, points, axis, x=x, y=y, width=width))
    return drawn


def _ends(spread: Spread) -> tuple[float, float]:
    """Returns the ends of a whisker; a cost's lower end stays positive, so that it has a logarithm."""
    low, high = spread.mean - (spread.deviation or 0.0), spread.mean + (spread.deviation or 0.0)
    return (low, high) if low > 0 or spread.mean <= 0 else (spread.mean / 2, high)


def _mark(summary: Summary, point: Point, axis: Axis, x: chart.Scale, y: chart.Scale) -> Markup:
    cost, text = point.costs[axis.key], describe(summary, point, axis)
    (left, right), (low, high) = _ends(cost), _ends(point.quality)
    center_x, center_y = x(cost.mean), y(point.quality.mean)
    whisker = ""
    if point.quality.deviation:
        whisker += f"M{center_x:.1f} {y(low):.1f}V{y(high):.1f}"
    if cost.deviation:
        whisker += f"M{x(left):.1f} {center_y:.1f}H{x(right):.1f}"
    return tag(
        "g",
        tag("title", text),
        tag("path", class_="whisker", d=whisker) if whisker else None,
        tag(
            "path",
            class_="shape",
            d=shape(summary, point.method),
            transform=f"translate({center_x:.1f} {center_y:.1f})",
        ),
        class_=f"mark {series_class(summary, point.method)}",
        data_series=point.method,
        data_tip=text,
        tabindex="0",
        role="img",
        aria_label=text,
    )


def _staircase(steps: list[tuple[float, float]]) -> str:
    """Returns the edge of what is reachable: level until a costlier point is better, then straight up."""
    line = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}"
    return line + "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps[1:])


def _labels(
    front: list[Point], points: list[Point], axis: Axis, *, x: chart.Scale, y: chart.Scale, width: float
) -> list[Markup]:
    """Names the points of the front where there is room, best first; the others are named when pointed at."""
    taken = [_box(x(p.costs[axis.key].mean) - 7, y(p.quality.mean) - 7, 14, 14) for p in points]
    labels = []
    for point in front:
        center_x, center_y = x(point.costs[axis.key].mean), y(point.quality.mean)
        size = len(point.label) * _CHARACTER
        for left, top in (
            (center_x + 10, center_y - 16),
            (center_x + 10, center_y + 3),
            (center_x - 10 - size, center_y - 16),
            (center_x - 10 - size, center_y + 3),
            (center_x - size / 2, center_y - 26),
            (center_x - size / 2, center_y + 12),
        ):
            box = _box(left, top, size, _LABEL_HEIGHT)
            inside = left > x.start and left + size < width and top > y.end - 10 and top + 14 < y.start
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                labels.append(tag("text", point.label, class_="label", x=left, y=top + 11, data_series=point.method))
                break
    return labels


def _box(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    return left, top, left + width, top + height


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _legend(summary: Summary, width: float, top: float) -> tuple[list[Markup], int]:
    """Returns the legend's entries in rows that fit the width, and how many rows there are."""
    names = ([summary.baseline.method] if summary.baseline else []) + summary.methods
    entries, left, row = [], 24.0, 0
    for name in names:
        size = 38 + len(name) * 6.6
        if left + size > width and left > 24:
            left, row = 24.0, row + 1
        y = top + 14 + row * 24
        mark = tag("path", class_="shape", d=shape(summary, name), transform=f"translate({left:.1f} {y:.1f})")
        entries.append(tag("g", mark, tag("text", name, x=left + 13, y=y + 4), class_=series_class(summary, name)))
        left += size
    return entries, row + 1
