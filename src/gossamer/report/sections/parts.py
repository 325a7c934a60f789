"""What sections are made of: headings, swatches, switches, tables that scroll."""

from __future__ import annotations

from collections.abc import Sequence

from gossamer import units
from gossamer.frontier.frontier import Frontier
from gossamer.report.frontier import series_class, shape
from gossamer.report.markup import Child, Markup, tag


def section(name: str, title: str, *children: Child, note: str = "") -> Markup:
    """Returns a section with a heading, an optional line on how to read it, and its content."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        tag("p", note, class_="note") if note else None,
        *children,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def switch(name: str, label: str, choices: Sequence[tuple[str, str]]) -> Markup:
    """Returns radio buttons that show one of the views called `name`; hidden where no script runs."""
    inputs = [
        tag("label", tag("input", type="radio", name=name, value=key, checked=index == 0), tag("span", title))
        for index, (key, title) in enumerate(choices)
    ]
    return tag("fieldset", tag("legend", label), *inputs, class_="switch", data_switch=name)


def table(label: str, caption: str, heads: Sequence[Child], rows: Sequence[Child], *, class_: str = "") -> Markup:
    """Returns a table that scrolls sideways in its own frame, reachable by keyboard."""
    made = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *rows),
        class_=class_ or None,
    )
    return tag("div", made, class_="scroll panel", tabindex="0", role="region", aria_label=label)


def swatch(frontier: Frontier, method: str) -> Markup:
    """Returns a method's marker as a small picture that readers skip."""
    mark = tag("path", class_="shape", d=shape(frontier, method))
    group = tag("g", mark, class_=series_class(frontier, method))
    return tag("svg", group, viewBox="-8 -8 16 16", width="14", height="14", class_="chart swatch", aria_hidden="true")


def size(shape_: Sequence[int] | None) -> str:
    """Returns a weight's shape, `64 × 32`."""
    return f" {units.TIMES} ".join(map(str, shape_ or []))
