"""Times callables against each other in one run: `gossamer.timing` with the patience of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gossamer.timing import interleaved


class Timing(NamedTuple):
    """Milliseconds of one callable: the median, and half the distance between the quartiles."""

    median: float
    spread: float


def interleave(calls: Mapping[str, Callable[[], object]], *, seconds: float = 2.0) -> dict[str, Timing]:
    """Calls each of `calls` in turn, round after round for so many seconds, and returns the timing of each."""
    timings = interleaved(dict(calls), repeats=100_000, seconds=seconds)
    return {name: Timing(timing.median_ms, timing.spread_ms / 2) for name, timing in timings.items()}
