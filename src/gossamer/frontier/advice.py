"""What to choose, in plain words with its reasons.

Every sentence is made from the figures it names: a network is called level, faster or ahead only where the rule
behind that word holds, and a speed-up is claimed only where the clock showed it. Qualities that decide are those of
the validation split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gossamer import units
from gossamer.frontier import warnings
from gossamer.frontier.axes import axis, change
from gossamer.frontier.points import Point
from gossamer.frontier.statistics import difference

if TYPE_CHECKING:
    from gossamer.cost import Budget
    from gossamer.frontier.frontier import Frontier


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The answer to one question.

    Attributes:
        question: What is asked for, a few words.
        point: The network that answers it; None where none does.
        text: The answer and its reasons, whole sentences.
    """

    question: str
    point: Point | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a comparison supports.

    Attributes:
        choices: The questions that it answers.
        warnings: What to beware of, a sentence each.
        rule: What the words and figures above mean.
    """

    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]
    rule: str

    def __str__(self) -> str:
        answers = [f"{choice.question}: {choice.text}" for choice in self.choices]
        return "\n".join([*answers, *(f"Beware: {warning}" for warning in self.warnings), self.rule])


def advise(frontier: Frontier, budget: Budget | None = None) -> Advice:
    """Returns what to choose from a comparison; see `Frontier.advice`."""
    choices: list[Choice] = []
    if frontier.points():
        if budget is not None:
            choices.append(_within(frontier, budget))
        if len(frontier.points()) > 1:
            choices.append(_best(frontier))
        if frontier.dense is not None and frontier.compressed:
            choices += [_smallest(frontier, frontier.dense), _fastest(frontier, frontier.dense)]
        texts = dict.fromkeys(point.budget for point in frontier.points() if point.budget)
        choices += [_made_for(frontier, text) for text in texts]
    return Advice(choices=tuple(choices), warnings=tuple(warnings.found(frontier)), rule=rule(frontier))


def rule(frontier: Frontier) -> str:
    """Returns what the words mean, and over what the figures were taken."""
    many = any(len(point.seeds) > 1 for point in frontier.points())
    text = "Figures are of one seed, so nothing is known of their noise."
    if many:
        text = (
            "Figures are means over seeds ± half the width of Student's 95 % interval; a difference is beyond the "
            "noise where its 95 % interval (paired where the seeds are the same) leaves zero out."
        )
    if frontier.dense is not None:
        allowed = units.difference(frontier.metric, frontier.tolerance()).lstrip("+")
        text += (
            f" Level with dense means at most {allowed} worse (dense's standard deviation, at least 1 % of its value)"
        )
        text += " and not worse beyond the noise." if many else "."
    if frontier.split == "test":
        return text + " What came in is compared on the test split, as only that was measured of it."
    return text + " Choices look at the validation split only."


def _best(frontier: Frontier) -> Choice:
    point, others = frontier.best(), frontier.points()
    text = f"{point.label} has the best validation {frontier.metric} of {len(others)}, {_quality(frontier, point)}."
    rivals = [other for other in others if other is not point]
    gaps = [(other, difference(point.val, other.val)) for other in rivals]
    untold = [other for other, gap in gaps if gap is not None and not gap.beyond_noise]
    if untold:
        text += f" These seeds cannot tell {len(untold)} other{'' if len(untold) == 1 else 's'} from it"
        least = min((o for o in untold if "bytes" in o.costs), key=lambda o: o.costs["bytes"].mean, default=None)
        if least and "bytes" in point.costs and least.costs["bytes"].mean < point.costs["bytes"].mean:
            text += f"; the smallest is {least.label}, {_cost(least, 'bytes')} instead of {_cost(point, 'bytes')}"
        text += "."
    elif all(gap is not None for _, gap in gaps):
        text += " It is ahead of every other beyond the noise."
    elif all(gap is None for _, gap in gaps):
        text += " With one seed it cannot be said whether its lead is more than noise."
    return Choice(question="Best quality", point=point, text=text)


def _smallest(frontier: Frontier, dense: Point) -> Choice:
    question, point = "Smallest that is level with dense", frontier.smallest_level()
    if point is None:
        closest = max(frontier.compressed, key=frontier.gain)
        text = f"none is level with dense, {_judged(frontier, dense)}."
        return Choice(
            question=question, point=None, text=f"{text} The closest is {closest.label}, {_gap(frontier, closest)}."
        )
    text = f"{point.label} has {_judged(frontier, point)} against {_judged(frontier, dense)}, {_gap(frontier, point)}"
    ratio = frontier.ratio(point, "bytes")
    if ratio is not None:
        text += (
            f", and takes {_cost(point, 'bytes')} instead of {_cost(dense, 'bytes')}, {change(axis('bytes'), ratio)}"
        )
    return Choice(question=question, point=point, text=text + ".")


def _fastest(frontier: Frontier, dense: Point) -> Choice:
    question, key = "Fastest that is level with dense", "latency_ms"
    if key not in dense.costs or not any(key in point.costs for point in frontier.compressed):
        return Choice(question=question, point=None, text="latency was not measured.")
    point = frontier.smallest_level(key)
    if point is None:
        return Choice(question=question, point=None, text="none is level with dense.")
    mine, its = _cost(point, key), _cost(dense, key)
    ratio = dense.costs[key].mean / point.costs[key].mean
    if ratio <= 1:
        text = f"none that is level measured faster than dense with {its}; the quickest is {point.label} with {mine}."
        return Choice(question=question, point=None, text=text)
    gap = difference(dense.costs[key], point.costs[key])
    if gap is None:
        sure = "though one seed cannot say whether that is more than noise"
    else:
        sure = "beyond the noise" if gap.low > 0 else "which is within the noise"
    text = f"{point.label} takes {mine} instead of {its} measured here, {change(axis(key), ratio)}, {sure}."
    return Choice(question=question, point=point, text=text)


def _made_for(frontier: Frontier, budget: str) -> Choice:
    """Answers for a budget that the comparison itself ran under."""
    asked = [point for point in frontier.points() if point.budget == budget]
    met = [point for point in asked if all(cell.get("met_budget") for cell in point.cells)]
    question = f"Made for {budget}"
    if not met:
        tried = ", ".join(point.label for point in asked)
        return Choice(question=question, point=None, text=f"no method met it with every seed; tried were {tried}.")
    point = max(met, key=frontier.gain)
    among = f"is the best of {len(met)} that met it with every seed" if len(met) > 1 else "met it with every seed"
    return Choice(question=question, point=point, text=f"{point.label} {among}, {_quality(frontier, point)}.")


def _within(frontier: Frontier, budget: Budget) -> Choice:
    bounds = budget.bounds()
    question = "Within " + ", ".join(f"{axis(name).title.lower()} {axis(name).write(b)}" for name, b in bounds.items())
    within = frontier.within(budget)
    if not within:
        near, over = frontier.nearest(budget)
        excess = ", ".join(
            f"{axis(name).title.lower()} {axis(name).write(found)} over {axis(name).write(bound)}"
            for name, (found, bound) in over.items()
        )
        return Choice(question=question, point=None, text=f"no network is; the nearest is {near.label}, {excess}.")
    point = max(within, key=frontier.gain)
    reason = f"has the best validation {frontier.metric} of the {len(within)} that are within it"
    reason = reason if len(within) > 1 else "is the only one"
    figures = "".join(f", {axis(name).title.lower()} {_cost(point, name)}" for name in bounds)
    text = f"{point.label} {reason}, {_quality(frontier, point)}{figures}."
    if frontier.dense is not None and point is not frontier.dense:
        text += f" Against dense it is {_gap(frontier, point)}."
    return Choice(question=question, point=point, text=text)


def _quality(frontier: Frontier, point: Point) -> str:
    """Returns the mean validation quality and its interval."""
    return units.quality(frontier.metric, point.val.mean, point.val.half_width())


def _judged(frontier: Frontier, point: Point) -> str:
    """Returns the quality by which a point is compared with dense, and its interval."""
    figure = frontier.judged(point)
    return units.quality(frontier.metric, figure.mean, figure.half_width())


def _gap(frontier: Frontier, point: Point) -> str:
    """Returns how far the metric is from dense's, and whether that is more than noise."""
    mean, sure = frontier.against_dense(point, None), frontier.against_dense(point)
    assert mean is not None
    sign = 1.0 if frontier.higher_is_better else -1.0
    if sure is None:
        return f"a difference of {units.difference(frontier.metric, sign * mean.mean)} from one seed"
    low, high = sorted((sign * sure.low, sign * sure.high))
    text = f"a difference of {units.difference(frontier.metric, sign * sure.mean, low, high)}"
    return f"{text}, {'beyond' if sure.beyond_noise else 'within'} the noise"


def _cost(point: Point, key: str) -> str:
    return axis(key).write(point.costs[key].mean)
