"""The table of every point against the dense network."""

from __future__ import annotations

from gossamer import units
from gossamer.frontier.axes import Axis
from gossamer.frontier.frontier import Frontier
from gossamer.frontier.points import Point
from gossamer.report.frontier import points
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.sections.parts import section, swatch, table

_CAPTION = (
    "± is half the 95 % interval of the mean over seeds; under each cost stands how many times less than dense. "
    "★ marks the networks that no other beats in mean validation quality and size"
)


def make(frontier: Frontier) -> Markup:
    """Returns quality on both splits and every cost, a row a point."""
    axes = frontier.axes
    front = frontier.pareto("bytes", confidence=None) if any(axis.key == "bytes" for axis in axes) else []
    heads: list[Child] = [
        "Network",
        [f"{frontier.metric}", tag("small", "test")],
        [f"{frontier.metric}", tag("small", "validation")],
        ["against dense", tag("small", "validation" if frontier.split == "val" else "test")],
        *([axis.title, tag("small", "measured" if axis.measured else "counted")] for axis in axes),
    ]
    rows = [_row(frontier, point, axes, star=point in front) for point in points(frontier)]
    return section("results", "Before and after", table("Results", _CAPTION, heads, rows))


def _row(frontier: Frontier, point: Point, axes: list[Axis], *, star: bool) -> Markup:
    dense = point is frontier.dense
    return tag(
        "tr",
        tag(
            "th",
            swatch(frontier, point.method),
            point.label,
            tag("abbr", "★", title="no network here is both better and smaller") if star else None,
            _beaten(frontier, point),
            scope="row",
        ),
        tag("td", units.quality(frontier.metric, point.test.mean, point.test.half_width())),
        tag("td", units.MISSING if dense and frontier.split == "test" else _validation(frontier, point)),
        tag("td") if dense else _against(frontier, point),
        *(_cost(frontier, point, axis) for axis in axes),
        class_="dense-row" if dense else None,
        data_series=point.method,
    )


def _validation(frontier: Frontier, point: Point) -> str:
    return units.quality(frontier.metric, point.val.mean, point.val.half_width())


def _beaten(frontier: Frontier, point: Point) -> Markup | None:
    other = frontier.beaten_by(point) if "bytes" in point.costs else None
    return tag("small", f"beaten beyond the noise by {other.label}") if other else None


def _against(frontier: Frontier, point: Point) -> Markup:
    mean, sure = frontier.against_dense(point, None), frontier.against_dense(point)
    if mean is None:
        return tag("td", units.MISSING)
    sign = 1.0 if frontier.higher_is_better else -1.0
    half = None if sure is None else (sure.high - sure.low) / 2
    words = "one seed" if sure is None else "beyond the noise" if sure.beyond_noise else "within the noise"
    return tag(
        "td",
        units.quality(frontier.metric, sign * mean.mean, half, signed=True),
        tag("small", words),
        class_="level" if frontier.level(point) else "worse",
    )


def _cost(frontier: Frontier, point: Point, axis: Axis) -> Markup:
    figure = point.costs.get(axis.key)
    if figure is None:
        return tag("td", units.MISSING)
    ratio = None if point is frontier.dense else frontier.ratio(point, axis.key)
    text, half = axis.write(figure.mean), figure.half_width()
    if half:
        text += f" ± {axis.write(half)}"
    where = f"on {point.runs_on}" if axis.key == "latency_ms" and point.runs_on else ""
    small = ", ".join(part for part in (units.factor(ratio) if ratio else "", where) if part)
    return tag("td", text, tag("small", small) if small else None)
