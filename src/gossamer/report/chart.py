"""Scales, axes and marks: the little that a scatter plot and a line chart need, as SVG.

Drawn here rather than by a plotting library because a report must open anywhere without a network: this is
about 10 kB a chart, follows the reader's theme, prints, and works without a script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gossamer.report.markup import Child, Markup, tag


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps numbers in [low, high] to pixels in [start, end], linearly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Returns the pixel of a value; values outside land outside."""
        low, high = self._warp(self.low), self._warp(self.high)
        return self.start + (self._warp(value) - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """Returns at most about `count` round values inside the scale, at least two where it can."""
        return log_ticks(self.low, self.high, count) if self.log else linear_ticks(self.low, self.high, count)

    def _warp(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value


def fit_scale(values: Sequence[float], start: float, end: float, *, log: bool = False, pad: float = 0.06) -> Scale:
    """Returns a scale over the values with a margin; a single value gets room on both sides.

    `log` is a wish: values that are not all positive, or span less than a factor 3, get a linear scale.
    """
    low, high = min(values), max(values)
    log = log and low > 0 and high / low >= 3
    if log:
        room = (high / low) ** pad
        return Scale(low=low / room, high=high * room, start=start, end=end, log=True)
    room = (high - low) * pad or abs(high) * 0.1 or 1.0
    return Scale(low=low - room, high=high + room, start=start, end=end)


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns multiples of 1, 2 or 5 times a power of ten, at most `count` + 1 of them.

    >>> linear_ticks(0.71, 0.83, 4)
    [0.75, 0.8]
    """
    step = 10.0 ** math.floor(math.log10((high - low) / max(count, 1)))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns 1, 2, 5 times powers of ten, or fewer of these where they would be more than `count`.

    >>> log_ticks(900, 60000, 8)
    [1000.0, 2000.0, 5000.0, 10000.0, 20000.0, 50000.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**d for d in decades for m in mantissas if low <= m * 10.0**d <= high]
        if len(ticks) <= count:
            break
    while len(ticks) > count:
        ticks = ticks[::2]
    return ticks if len(ticks) >= 2 else linear_ticks(low, high, 5)  # 5 or more make at least two


def axes(
    x: Scale,
    y: Scale,
    *,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    write_x: Callable[[float], str],
    write_y: Callable[[float], str],
    x_title: str = "",
    y_title: str = "",
) -> list[Markup]:
    """Returns grid lines, tick labels and titles; the y title stands above its axis."""
    return [
        *y_axis(x, y, ticks=y_ticks, write=write_y, title=y_title),
        *x_axis(x, y, ticks=x_ticks, write=write_x, title=x_title),
    ]


def x_axis(x: Scale, y: Scale, *, ticks: Sequence[float], write: Callable[[float], str], title: str) -> list[Markup]:
    """Returns the ticks of the x axis, their labels, and the title below them."""
    bottom = y.start
    return [
        tag("path", class_="grid", d="".join(f"M{x(v):.1f} {bottom:.1f}v5" for v in ticks)),
        *(tag("text", write(v), x=round(x(v), 1), y=bottom + 19, text_anchor="middle") for v in ticks),
        tag("text", title, class_="title", x=(x.start + x.end) / 2, y=bottom + 40, text_anchor="middle"),
    ]


def y_axis(x: Scale, y: Scale, *, ticks: Sequence[float], write: Callable[[float], str], title: str) -> list[Markup]:
    """Returns the grid lines of the y axis, their labels, and the title above them."""
    left, right = x.start, x.end
    lines = "".join(f"M{left:.1f} {y(v):.1f}H{right:.1f}" for v in ticks) + f"M{left:.1f} {y.start:.1f}H{right:.1f}"
    return [
        tag("path", class_="grid", d=lines),
        *(tag("text", write(v), x=left - 8, y=round(y(v) + 4, 1), text_anchor="end") for v in ticks),
        tag("text", title, class_="title", x=4.0, y=y.end - 16),
    ]


def path(points: Sequence[tuple[float, float]]) -> str:
    """Returns the `d` of a line through the points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def svg(
    width: float, height: float, *children: Child, title: str, class_: str = "chart", standalone: bool = False
) -> Markup:
    """Returns an SVG picture of this size in pixels that scales down with its column; readers say `title`."""
    return tag(
        "svg",
        tag("title", title) if standalone else None,
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        class_=class_,
        role="img" if standalone else "group",
        aria_label=title,
        xmlns="http://www.w3.org/2000/svg" if standalone else None,
    )
