from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.frontier import dominance
from tests.frontier.records import cells, frontier, point

COSTS = ["bytes"]


def dominates(a: Sequence[float], b: Sequence[float], sizes: tuple[float, float], *, b_seed: int = 0) -> bool:
    first, second = point(a, sizes[0]), point(b, sizes[1], first_seed=b_seed)
    return dominance.dominates(first, second, COSTS, higher_is_better=True)


def test_smaller_and_better_beyond_the_noise_dominates() -> None:
    """Differences 0.10, 0.11, 0.12: mean 0.11, half width 4.3027 · 0.01 / sqrt(3) = 0.0248."""
    assert dominates([0.90, 0.91, 0.92], [0.80, 0.80, 0.80], (100, 200))


def test_better_within_the_noise_does_not() -> None:
    """Differences 0.01, 0.02, 0.09: mean 0.04, half width 0.108."""
    assert not dominates([0.81, 0.82, 0.89], [0.80, 0.80, 0.80], (100, 200))


def test_pairing_sees_what_the_spread_over_seeds_hides() -> None:
    """Seeds differ by 0.2 but the difference between the networks is 0.01 for each of them."""
    a, b = [0.71, 0.81, 0.911], [0.70, 0.80, 0.90]
    assert dominates(a, b, (100, 200))
    assert not dominates(a, b, (100, 200), b_seed=10)


def test_smaller_but_worse_and_level_but_smaller() -> None:
    assert not dominates([0.70, 0.71, 0.70], [0.80, 0.80, 0.81], (100, 200))
    assert dominates([0.80, 0.70], [0.80, 0.70], (100, 200)), "the very same quality for less"
    assert not dominates([0.80, 0.70], [0.80, 0.70], (100, 100)), "level in everything"


def test_single_seeds_neither_dominate_nor_are_dominated() -> None:
    assert not dominates([0.9], [0.1], (100, 200))
    assert not dominates([0.9, 0.9, 0.9], [0.1], (100, 200))
    first, second = point([0.9], 100), point([0.1], 200)
    assert dominance.dominates(first, second, COSTS, higher_is_better=True, confidence=None)


def test_a_latency_counts_only_beyond_its_noise() -> None:
    quick, slow = [1.0, 1.1, 1.05], [1.04, 1.07, 1.1]
    for latencies, expected in ((slow, False), ([2.0, 2.1, 2.05], True)):
        a = point([0.8, 0.8, 0.8], latencies=quick)
        b = point([0.7, 0.7, 0.7], latencies=latencies)
        assert dominance.dominates(a, b, ["latency_ms"], higher_is_better=True) is expected


QUALITIES = st.lists(st.integers(0, 5).map(lambda q: q / 5), min_size=3, max_size=3)


@given(st.lists(st.tuples(QUALITIES, st.integers(1, 4)), min_size=1, max_size=6), st.booleans())
def test_the_set_is_what_nothing_in_it_or_out_of_it_dominates(
    figures: list[tuple[list[float], int]], higher: bool
) -> None:
    made = frontier(*(cells(f"m{i}", q, size) for i, (q, size) in enumerate(figures)), higher_is_better=higher)
    kept, points = made.pareto("bytes"), made.points()
    assert kept, "there are no circles"
    for candidate in points:
        beaten = any(dominance.dominates(other, candidate, COSTS, higher_is_better=higher) for other in points)
        twins = [p for p in points if p.val.values == candidate.val.values and p.cost == candidate.cost]
        assert (candidate in kept) == (not beaten and candidate is twins[0])
    certain = {p.method for p in made.pareto("bytes", confidence=None)}
    by_mean = {(p.validation, p.cost["bytes"]) for p in kept}
    assert {(p.validation, p.cost["bytes"]) for p in points if p.method in certain} <= by_mean, "noise only adds points"


def union_of_boxes(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Returns the volume by inclusion and exclusion over all subsets: another algorithm, exponential."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, size):
            corner = [max(p[axis] for p in chosen) for axis in range(len(reference))]
            edges = [max(r - c, 0.0) for r, c in zip(reference, corner, strict=True)]
            total += (-1) ** (size + 1) * math.prod(edges)
    return total


@given(st.integers(1, 4).flatmap(lambda d: st.lists(st.tuples(*[st.integers(0, 8)] * d), min_size=1, max_size=7)))
def test_the_volume_by_inclusion_and_exclusion(points: list[tuple[int, ...]]) -> None:
    reference = (6,) * len(points[0])
    assert dominance.volume(points, reference) == union_of_boxes(points, reference)


def test_the_hypervolume_by_hand() -> None:
    """Qualities 0.9, 0.8 and 0.5 at 300, 100 and 50 bytes, seen from quality 0.4 at 400 bytes."""
    made = frontier(cells("a", [0.9], 300), cells("b", [0.8], 100), cells("c", [0.5], 50))
    expected = 0.1 * (400 - 300) + 0.3 * (400 - 100) + 0.1 * (400 - 50)
    assert made.hypervolume("bytes", {"quality": 0.4, "bytes": 400}) == pytest.approx(expected)
    assert made.hypervolume("bytes") == pytest.approx(0.3 * (300 - 100))  # from the worst corner: 0.5 at 300 bytes
    both = {"quality": 0.4, "bytes": 400, "macs": 400}
    assert made.hypervolume(["bytes", "macs"], both) == pytest.approx(0.1 * 100**2 + 0.3 * 300**2 + 0.1 * 350**2)


def test_the_hypervolume_where_less_is_better() -> None:
    made = frontier(cells("a", [0.1], 300), cells("b", [0.2], 100), higher_is_better=False)
    found = made.hypervolume("bytes", {"quality": 0.5, "bytes": 400})
    assert found == pytest.approx(0.3 * (400 - 100) + 0.1 * (400 - 300))


def test_networks_that_are_alike_are_rarely_called_beaten() -> None:
    """Of pairs that differ by noise alone the smaller one dominates in 2.5 %: one end of a 95 % interval."""
    noise = np.random.default_rng(0).normal(0.8, 0.01, (3000, 2, 3))
    wrong = sum(dominates(a.tolist(), b.tolist(), (100, 200)) for a, b in noise)
    assert 0.018 < wrong / len(noise) < 0.032
