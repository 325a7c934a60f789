"""Builds HTML and SVG from Python calls, so that no text can reach a page unescaped.

    tag("p", "5 < 6", class_="note")   ->   <p class="note">5 &lt; 6</p>

Plain strings are escaped; only `Markup`, which this module makes, passes through as it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = {"br", "hr", "input", "link", "meta"}
_CLOSED = {"path", "rect"}  # of SVG: they end themselves


class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


Child = str | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Returns one element.

    Args:
        name: The element's name.
        children: Text (escaped), `Markup` (as it is), None (left out), or any nesting of these.
        attributes: A trailing underscore is dropped and the others become hyphens (`class_`, `data_x`); None
            and False leave an attribute out, True writes it without a value, floats get two decimals.

    >>> tag("a", "R&D", href="?a=1&b=2", hidden=True)
    '<a href="?a=1&amp;b=2" hidden>R&amp;D</a>'
    """
    opening = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        opening += f" {label}" if value is True else f' {label}="{html.escape(_plain(value))}"'
    if name in _VOID:
        return Markup(f"<{opening}>")
    if name in _CLOSED and not children:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Returns the children one after the other, plain strings escaped.

    >>> join(["<", tag("b", "x"), None, ["y"]])
    '&lt;<b>x</b>y'
    """
    pieces = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            pieces.append(str(child))
        elif isinstance(child, str):
            pieces.append(html.escape(child))
        else:
            pieces.append(join(child))
    return Markup("".join(pieces))


def _plain(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
