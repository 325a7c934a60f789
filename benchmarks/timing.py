"""Times callables against each other in one run, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Timing(NamedTuple):
    """Milliseconds of one callable: the median, and half the distance between the quartiles."""

    median: float
    spread: float


def interleave(
    calls: Mapping[str, Callable[[], object]], *, seconds: float = 2.0, least: int = 7, warm: int = 2
) -> dict[str, Timing]:
    """Calls each of `calls` in turn, round after round, and returns the timing of each.

    Args:
        calls: Name to callable.
        seconds: Rounds go on until this much time has passed.
        least: Rounds that are made in any case.
        warm: Rounds that come first and are not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warm):
        for call in calls.values():
            call()
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < least or time.perf_counter() < end:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            samples[name].append((time.perf_counter() - start) * 1e3)
        rounds += 1
    return {name: _summary(values) for name, values in samples.items()}


def _summary(values: list[float]) -> Timing:
    low, middle, high = statistics.quantiles(values, n=4)
    return Timing(middle, (high - low) / 2)
