"""What the methods themselves noted, each remark once."""

from __future__ import annotations

from gossamer.frontier.frontier import Frontier
from gossamer.report.markup import Markup, tag
from gossamer.report.sections.parts import section


def make(frontier: Frontier) -> Markup | None:
    """Returns a list of remarks, each with the points that made it."""
    remarks: dict[str, list[str]] = {}
    for point in frontier.points():
        for cell in point.cells:
            for remark in cell.get("notes") or []:
                labels = remarks.setdefault(str(remark), [])
                if point.label not in labels:
                    labels.append(point.label)
    if not remarks:
        return None
    items = [tag("li", f"{remark} ({', '.join(who)})") for remark, who in remarks.items()]
    return section("notes", "Notes", tag("ul", *items))
