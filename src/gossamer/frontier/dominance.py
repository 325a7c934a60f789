"""Which points another one beats, with the noise of seeds in mind, and the volume that a set of points covers.

One rule for both uses, at a confidence c: point a **dominates** point b if, in validation quality and in every cost
asked for, the two-sided c-interval of the difference lies nowhere on b's side of zero, and in at least one of them it
lies wholly on a's side. So

- a counted cost decides by its mean, as its interval has no width;
- a quality, or a latency, decides only where a is shown to be at least as good; with an interval that reaches to
  both sides of zero, b may be the better one and stays;
- a figure with a single seed has no interval, so a point of one seed neither dominates nor is dominated;
- with c = None the means are taken as certain, which is the Pareto set of textbooks.

A dominating point is never worse in a mean, so there are no circles and the set that is left is never empty. Of points
that are exactly level in everything, the first stands for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gossamer.frontier.points import Point
from gossamer.frontier.statistics import CONFIDENCE, Difference, difference


def dominates(
    a: Point, b: Point, costs: Sequence[str], *, higher_is_better: bool, confidence: float | None = CONFIDENCE
) -> bool:
    """Says whether `a` dominates `b`; both have all of `costs`."""
    better = False
    for gain in _gains(a, b, costs, higher_is_better, confidence):
        if gain is None or gain.low < 0:
            return False
        better = better or gain.low > 0
    return better


def pareto(
    points: Sequence[Point], costs: Sequence[str], *, higher_is_better: bool, confidence: float | None = CONFIDENCE
) -> list[Point]:
    """Returns the points that no other dominates, in the order given."""
    kept: list[Point] = []
    for index, point in enumerate(points):
        repeated = any(
            all(
                gain is not None and gain.low == gain.high == 0
                for gain in _gains(other, point, costs, higher_is_better, confidence)
            )
            for other in points[:index]
        )
        beaten = repeated or any(
            dominates(other, point, costs, higher_is_better=higher_is_better, confidence=confidence)
            for other in points
            if other is not point
        )
        if not beaten:
            kept.append(point)
    return kept


def _gains(
    a: Point, b: Point, costs: Sequence[str], higher_is_better: bool, confidence: float | None
) -> Iterator[Difference | None]:
    """Yields by how much `a` is better than `b`, in each cost and then in quality."""
    for cost in costs:
        yield difference(b.costs[cost], a.costs[cost], confidence)
    yield difference(a.val, b.val, confidence) if higher_is_better else difference(b.val, a.val, confidence)


def volume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Returns the volume between a reference corner and the points that are below it in every coordinate.

    Exact, by slices along the last coordinate (the hypervolume by slicing objectives of L. While et al., IEEE
    Transactions on Evolutionary Computation 10(1), 2006): n points in d dimensions take about n^(d - 1) steps.

    Args:
        points: Each of the same length as `reference`; smaller is better everywhere.
        reference: The corner.

    >>> volume([(1, 3), (2, 1)], (4, 4))
    7.0
    """
    inside = sorted(
        (tuple(point) for point in points if all(x < r for x, r in zip(point, reference, strict=True))),
        key=lambda point: point[-1],
    )
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - inside[0][0])
    total = 0.0
    for index, point in enumerate(inside):
        end = inside[index + 1][-1] if index + 1 < len(inside) else reference[-1]
        if end > point[-1]:
            total += (end - point[-1]) * volume([other[:-1] for other in inside[: index + 1]], reference[:-1])
    return total
