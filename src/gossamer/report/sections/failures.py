"""The cells that did not finish, with their error and where they said more."""

from __future__ import annotations

from gossamer.frontier.frontier import Frontier
from gossamer.frontier.points import describe_cell
from gossamer.report.markup import Child, Markup, tag
from gossamer.report.sections.parts import section, table


def make(frontier: Frontier) -> Markup | None:
    """Returns a row a failed cell."""
    if not frontier.failed:
        return None
    rows = []
    for cell in frontier.failed:
        log = [tag("small", "log: ", tag("code", str(cell["log"])))] if cell.get("log") else []
        what: Child = [str(cell.get("error") or "no result"), log]
        rows.append(tag("tr", tag("th", describe_cell(cell), scope="row"), tag("td", what, class_="why")))
    caption = "These are in no mean above; running the command again tries them again"
    return section(
        "failed",
        "Cells that failed",
        table("Failed cells", caption, ("Cell", "What happened"), rows, class_="text"),
    )
