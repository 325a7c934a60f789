"""What to choose, in plain words, and what to beware of."""

from __future__ import annotations

from gossamer.frontier.advice import Choice
from gossamer.frontier.frontier import Frontier
from gossamer.report.markup import Markup, tag
from gossamer.report.sections.layers import tabled
from gossamer.report.sections.parts import section


def make(frontier: Frontier) -> Markup:
    """Returns the advice that the comparison supports."""
    advice = frontier.advice()
    answers = [
        tag("div", tag("dt", choice.question), tag("dd", _capital(choice.text), _link(frontier, choice)))
        for choice in advice.choices
    ]
    beware = [tag("li", warning) for warning in advice.warnings]
    return section(
        "choose",
        "What to choose",
        tag("dl", *answers, class_="answers panel") if answers else None,
        [tag("h3", "Beware"), tag("ul", *beware, class_="beware")] if beware else None,
        tag("p", advice.rule, class_="note"),
    )


def _link(frontier: Frontier, choice: Choice) -> Markup | None:
    if choice.point is None or choice.point not in tabled(frontier):
        return None
    name = f"p{frontier.points().index(choice.point)}"
    return tag("span", " ", tag("a", f"Layers of {choice.point.label}", href=f"#layers-{name}", data_choose=name))


def _capital(text: str) -> str:
    """Returns a sentence as it stands alone; the name of a method is left as it is."""
    head, _, _ = text.partition(" ")
    return text[:1].upper() + text[1:] if head in {"none", "no", "latency"} else text
