"""The sparsity of every layer of the points that have a table of layers, as a heat map that is a table."""

from __future__ import annotations

import statistics

from gossamer import units
from gossamer.frontier.frontier import Frontier
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.sections.layers import tabled
from gossamer.report.sections.parts import section, size, table


def make(frontier: Frontier) -> Markup | None:
    """Returns a row a layer and a column a point."""
    points = [point for point in tabled(frontier) if point is not frontier.dense]
    if not points:
        return None
    shapes = {layer["name"]: layer.get("shape") for point in points for layer in point.cells[0]["layers"]}
    rows = []
    for name, shape in shapes.items():
        cells: list[Child] = []
        for point in points:
            layers = [layer for cell in point.cells for layer in cell.get("layers") or []]
            found = [layer["sparsity"] for layer in layers if layer["name"] == name]
            cells.append(_heat(statistics.fmean(found) if found else None))
        rows.append(tag("tr", tag("th", tag("code", name), tag("small", size(shape)), scope="row"), *cells))
    caption = "Share of each layer's weights that is zero, mean over seeds"
    heads = ["Layer", *(point.label for point in points)]
    return section(
        "weights", "Where the weights went", table("Sparsity of each layer", caption, heads, rows, class_="heat")
    )


def _heat(sparsity: float | None) -> Markup:
    if sparsity is None:
        return tag("td", units.MISSING)
    return tag("td", units.percent(sparsity), style=f"--heat:{sparsity * 100:.0f}%")
