"""Puts names beside marks where there is room."""

from __future__ import annotations

from collections.abc import Sequence

from gossamer.report.markup import Markup, tag

_HEIGHT = 14.0
_CHARACTER = 6.4  # mean width of a label's character, pixels

Box = tuple[float, float, float, float]


def place(
    names: Sequence[tuple[str, str, float, float]],
    marks: Sequence[tuple[float, float]],
    *,
    left: float,
    right: float,
    top: float,
    bottom: float,
) -> list[Markup]:
    """Returns a label for each name that fits somewhere around its mark, first come first served.

    Args:
        names: Text, series, and the x and y of its mark.
        marks: The centers of all marks, which no label covers.
        left: Edge of the room for labels; so are `right`, `top` and `bottom`.
        right: See `left`.
        top: See `left`.
        bottom: See `left`.
    """
    taken = [_box(x - 7, y - 7, 14, 14) for x, y in marks]
    labels = []
    for text, series, x, y in names:
        size = len(text) * _CHARACTER
        for start, above in (
            (x + 10, y - 16),
            (x + 10, y + 3),
            (x - 10 - size, y - 16),
            (x - 10 - size, y + 3),
            (x - size / 2, y - 26),
            (x - size / 2, y + 12),
        ):
            box = _box(start, above, size, _HEIGHT)
            inside = start > left and start + size < right and above > top - 10 and above + _HEIGHT < bottom
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                labels.append(tag("text", text, class_="label", x=start, y=above + 11, data_series=series))
                break
    return labels


def _box(left: float, top: float, width: float, height: float) -> Box:
    return left, top, left + width, top + height


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
