"""Draws quality against a cost: a mark per point, whiskers of 95 %, and a line through the Pareto set of means.

Whiskers are the interval of the mean over seeds. The dotted line joins the points whose mean validation quality and
cost no other beats; a hollow mark is beaten beyond the noise (`gossamer.frontier.dominance`). On the page the cost has
a logarithmic and a linear scale: both layouts are drawn here, and the script only swaps one for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gossamer import files, units
from gossamer.errors import DataError, unknown
from gossamer.frontier.axes import AXES, Axis
from gossamer.frontier.frontier import Frontier
from gossamer.frontier.points import DENSE, Point
from gossamer.frontier.statistics import Estimate
from gossamer.report import chart, theme
from gossamer.report.labels import place
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.source import Source, read


def draw(frontier: Frontier, axis: Axis, *, width: float, height: float) -> Markup:
    """Returns the chart of one cost, interactive where the page's script runs.

    Args:
        frontier: The comparison.
        axis: The cost on the x axis.
        width: Pixels of the picture's box.
        height: Pixels of the picture's box.
    """
    title = f"{frontier.metric} against {_lower(axis.title)}"
    return chart.svg(width, height, *_drawn(frontier, axis, width, height, both=True), title=title)


def frontier_svg(run: Source, path: str | Path, *, cost: str = "bytes") -> Path:
    """Writes the frontier of a run as a picture that follows a light or dark reader.

    Args:
        run: A comparison, its record, or the path of its file or folder.
        path: Where the SVG goes.
        cost: The cost on the x axis, a field of `Cost`.

    Raises:
        DataError: The run has no point with that cost.
        FileError: The run could not be read or the picture not written.
    """
    frontier = read(run)
    axis = next((axis for axis in frontier.axes if axis.key == cost), None)
    if axis is None:
        raise DataError(unknown("cost axis", cost, [a.key for a in frontier.axes] or [a.key for a in AXES]))
    width, height = 860.0, 470.0
    legend, rows = _legend(frontier, width, height)
    total = height + rows * 24 + 12
    subject = f"{frontier.run.get('model')} on {frontier.run.get('data')}"
    title = f"{frontier.metric} against {_lower(axis.title)}: {subject}"
    picture = chart.svg(
        width,
        total,
        tag("style", Markup(theme.picture_style())),
        tag("rect", class_="back", width=width, height=total, rx=10),
        *_drawn(frontier, axis, width, height, both=False),
        *legend,
        title=title,
        standalone=True,
    )
    return files.write_text(path, picture + "\n")


def points(frontier: Frontier) -> list[Point]:
    """Returns the points of a report, the dense one first where it is not one of the cells."""
    own = frontier.points()
    return own if frontier.dense is None or frontier.dense in own else [frontier.dense, *own]


def methods(frontier: Frontier) -> list[str]:
    """Returns the methods in the order of the run, the dense one first."""
    others = [point.method for point in frontier.compressed]
    return list(dict.fromkeys([*([DENSE] if frontier.dense else []), *others]))


def series_class(frontier: Frontier, method: str) -> str:
    """Returns the CSS class that colours a method's marks."""
    number = _number(frontier, method)
    return DENSE if number is None else f"s{number % theme.SERIES}"


def shape(frontier: Frontier, method: str) -> str:
    """Returns the path of a method's marker."""
    number = _number(frontier, method)
    return theme.DENSE_MARKER if number is None else theme.marker(number)


def describe(frontier: Frontier, point: Point, axis: Axis, *, beaten: bool = False) -> str:
    """Returns a point in one line: what it is, its quality, its cost, over how many seeds."""
    quality = units.quality(frontier.metric, point.test.mean, point.test.half_width())
    seeds = "1 seed" if point.test.count == 1 else f"{point.test.count} seeds"
    cost = f"{_lower(axis.title)} {axis.write(point.costs[axis.key].mean)}"
    if axis.key == "latency_ms":
        cost += latency_note(point)
    end = ", beaten beyond the noise" if beaten else ""
    return f"{point.label}: {frontier.metric} {quality}, {cost}, {seeds}{end}"


def latency_note(point: Point) -> str:
    """Returns what a point's latency was measured on, and the latencies in PyTorch beside it; "" where not known."""
    beside = [
        f"{name} {units.milliseconds(point.costs[key].mean)}"
        for key, name in (("eager_latency_ms", "eager PyTorch"), ("compiled_latency_ms", "torch.compile"))
        if key in point.costs
    ]
    said = [f"on {point.runs_on}"] if point.runs_on else []
    return f" ({', '.join([*said, *beside])})" if said or beside else ""


def _lower(title: str) -> str:
    """Returns a title inside a sentence: names keep their capitals."""
    return title[:1].lower() + title[1:]


def _number(frontier: Frontier, method: str) -> int | None:
    others = [name for name in methods(frontier) if frontier.dense is None or name != DENSE]
    return others.index(method) if method in others else None


def _drawn(frontier: Frontier, axis: Axis, width: float, height: float, *, both: bool) -> list[Child]:
    known = [point for point in points(frontier) if axis.key in point.costs]
    ends = [end for p in known for end in _ends(p.costs[axis.key])]
    wide = chart.fit_scale(ends, 58, width - 22, log=True, pad=0.08)
    scales = [wide, chart.fit_scale(ends, 58, width - 22, pad=0.08)] if both and wide.log else [wide]
    y = chart.fit_scale([end for p in known for end in _ends(p.test)], height - 52, 40, pad=0.08)
    percent = units.is_percentage(frontier.metric)
    drawn: list[Child] = list(
        chart.y_axis(
            wide, y, ticks=y.ticks(6), write=units.percent if percent else units.significant, title=frontier.metric
        )
    )
    better = "↖ better" if frontier.higher_is_better else "↙ better"
    drawn.append(tag("text", better, x=width - 22, y=24.0, text_anchor="end"))
    front = frontier.pareto(axis.key, confidence=None)
    drawn += _line(front, axis, scales, y, class_="front")
    for method in methods(frontier):
        trail = sorted((p for p in known if p.method == method), key=lambda p: p.costs[axis.key].mean)
        drawn += _line(trail, axis, scales, y, class_=f"trail {series_class(frontier, method)}", series=method)
    unbeaten = frontier.pareto(axis.key)
    for point in sorted(known, key=lambda point: (point in unbeaten, point in front)):  # what matters lies on top
        drawn.append(_mark(frontier, point, axis, scales, y, beaten=point not in [*unbeaten, *front]))
    for scale in scales:
        title = f"{axis.title}{' (log scale)' if scale.log else ''}"
        ticks = scale.ticks(7 if width > 500 else 4)
        spots = [(scale(p.costs[axis.key].mean), y(p.test.mean)) for p in known]
        names = [(p.label, p.method, scale(p.costs[axis.key].mean), y(p.test.mean)) for p in front]
        layout = [
            *chart.x_axis(scale, y, ticks=ticks, write=axis.write, title=title),
            *place(names, spots, left=scale.start, right=width, top=y.end, bottom=y.start),
        ]
        drawn.append(tag("g", layout, data_layout=True, class_=None if scale is wide else "gone") if both else layout)
    return drawn


def _line(
    joined: Sequence[Point],
    axis: Axis,
    scales: Sequence[chart.Scale],
    y: chart.Scale,
    *,
    class_: str,
    series: str | None = None,
) -> list[Markup]:
    """Returns a line through the points, in each layout; nothing through a single one."""
    if len(joined) < 2:
        return []
    lines = [chart.path([(x(p.costs[axis.key].mean), y(p.test.mean)) for p in joined]) for x in scales]
    return [tag("path", class_=class_, d=lines[0], data_other=_other(lines), data_series=series)]


def _mark(
    frontier: Frontier, point: Point, axis: Axis, scales: Sequence[chart.Scale], y: chart.Scale, *, beaten: bool
) -> Markup:
    cost, text = point.costs[axis.key], describe(frontier, point, axis, beaten=beaten)
    (left, right), (low, high) = _ends(cost), _ends(point.test)
    center = y(point.test.mean)
    up = f"M0 {y(low) - center:.1f}V{y(high) - center:.1f}" if low < high else ""
    places = [f"translate({x(cost.mean):.1f} {center:.1f})" for x in scales]
    whiskers = [
        up + (f"M{x(left) - x(cost.mean):.1f} 0H{x(right) - x(cost.mean):.1f}" if left < right else "") for x in scales
    ]
    drawn = frontier.points()
    return tag(
        "g",
        tag("title", text),
        tag("path", class_="whisker", d=whiskers[0], data_other=_other(whiskers)) if whiskers[0] else None,
        tag("path", class_="shape", d=shape(frontier, point.method)),
        class_=f"mark {series_class(frontier, point.method)}{' beaten' if beaten else ''}",
        transform=places[0],
        data_other=_other(places),
        data_series=point.method,
        data_point=f"p{drawn.index(point)}" if point in drawn else None,
        tabindex="0",
        role="img",
    )


def _other(layouts: Sequence[str]) -> str | None:
    return layouts[1] if len(layouts) > 1 and layouts[1] != layouts[0] else None


def _ends(estimate: Estimate) -> tuple[float, float]:
    """Returns the ends of a whisker; a cost's lower end stays positive, so that it has a logarithm."""
    low, high = estimate.interval() or (estimate.mean, estimate.mean)
    return (low, high) if low > 0 or estimate.mean <= 0 else (estimate.mean / 2, high)


def _legend(frontier: Frontier, width: float, top: float) -> tuple[list[Markup], int]:
    """Returns the legend's entries in rows that fit the width, and how many rows there are."""
    entries, left, row = [], 24.0, 0
    for name in methods(frontier):
        size = 38 + len(name) * 6.6
        if left + size > width and left > 24:
            left, row = 24.0, row + 1
        y = top + 14 + row * 24
        mark = tag("path", class_="shape", d=shape(frontier, name), transform=f"translate({left:.1f} {y:.1f})")
        entries.append(tag("g", mark, tag("text", name, x=left + 13, y=y + 4), class_=series_class(frontier, name)))
        left += size
    return entries, row + 1
