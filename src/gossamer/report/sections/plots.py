"""Quality against every cost, one at a time, with a filter of methods."""

from __future__ import annotations

from gossamer.frontier.frontier import Frontier
from gossamer.report.frontier import draw, methods
from gossamer.report.markup import Markup, tag
from gossamer.report.sections.parts import section, swatch, switch

_NOTE = (
    "Each mark is one method at one setting, on the test split; whiskers are the 95 % interval of the mean over seeds. "
    "The dotted line joins the networks that no other beats in mean validation quality and cost; a hollow mark in "
    "colour is beaten beyond the noise."
)
_KEYS = (
    "Point at a mark to read it, click it for its layers. By keyboard: tab to the chart, move with the arrow keys, "
    "Enter for the layers."
)


def make(frontier: Frontier) -> Markup | None:
    """Returns a chart a cost, each for wide and for narrow screens."""
    axes = [axis for axis in frontier.axes if not axis.beside]
    if not axes:
        return None
    views = [
        tag(
            "div",
            tag("div", draw(frontier, axis, width=960, height=480), class_="wide"),
            tag("div", draw(frontier, axis, width=358, height=380), class_="narrow"),
            class_="view",
            data_view=axis.key,
        )
        for axis in axes
    ]
    logarithmic = tag(
        "label", tag("input", type="checkbox", id="log", checked=True), tag("span", "Log scale"), class_="check"
    )
    shown = [
        tag(
            "label",
            tag("input", type="checkbox", checked=True, data_toggle=name),
            swatch(frontier, name),
            tag("span", name),
            class_="check",
        )
        for name in methods(frontier)
    ]
    return section(
        "frontier",
        "Quality against cost",
        tag("p", _KEYS, class_="note script"),
        tag("div", switch("cost", "Cost", [(axis.key, axis.title) for axis in axes]), logarithmic, class_="controls"),
        tag("div", *views, class_="views panel", data_views="cost"),
        tag("fieldset", tag("legend", "Methods"), *shown, class_="filter"),
        note=_NOTE,
    )
