"""Means over seeds, how sure they are, and whether two of them differ by more than noise.

The interval of a mean is Student's: mean ± t · s / √n with n - 1 degrees of freedom, which holds for few seeds where
the values are about normal. Two points that ran with the same seeds share initial weights, batches and splits, so
their difference is taken seed by seed (the paired test); otherwise it is Welch's (B. L. Welch, Biometrika 34, 1947),
which assumes no common variance. A figure that is counted, as bytes are, is exact for the networks at hand: its
interval has no width. Nothing is corrected for the number of comparisons made.
"""

from __future__ import annotations

import functools
import math
import statistics
from dataclasses import dataclass

from gossamer.errors import SettingError

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One figure of a point: its value for each seed.

    Attributes:
        values: One number a seed, at least one.
        seeds: The seeds, in the same order.
        counted: Whether each value is exact (bytes) rather than a sample (accuracy, latency).
    """

    values: tuple[float, ...]
    seeds: tuple[int, ...]
    counted: bool = False

    @functools.cached_property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.values)

    @functools.cached_property
    def deviation(self) -> float | None:
        """The sample standard deviation over seeds; None for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def count(self) -> int:
        """How many seeds."""
        return len(self.values)

    def half_width(self, confidence: float = CONFIDENCE) -> float | None:
        """Returns half the width of the interval of the mean; 0 if counted, None for a single seed.

        Raises:
            SettingError: `confidence` is not above 0 and below 1.
        """
        critical = _critical(confidence, max(self.count - 1, 1))
        if self.counted:
            return 0.0
        return None if self.deviation is None else critical * self.deviation / math.sqrt(self.count)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """Returns the lower and upper end of the interval of the mean; None for a single seed of a sampled figure."""
        half = self.half_width(confidence)
        return None if half is None else (self.mean - half, self.mean + half)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference of two means, and the ends of its interval."""

    mean: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def difference(a: Estimate, b: Estimate, confidence: float | None = CONFIDENCE) -> Difference | None:
    """Returns a - b with its two-sided interval.

    Where both have the same seeds the differences are paired by seed: if they are the same for every seed, the
    interval has no width. Otherwise the interval is Welch's.

    Args:
        a: One figure.
        b: The same figure of another point.
        confidence: Of the interval, above 0 and below 1; None takes both means as certain.

    Returns:
        None where a sampled figure has a single seed, so that nothing is known of its noise.
    """
    apart = a.mean - b.mean
    if confidence is None or (a.counted and b.counted):
        return Difference(mean=apart, low=apart, high=apart)
    if sorted(a.seeds) == sorted(b.seeds):
        other = dict(zip(b.seeds, b.values, strict=True))
        paired = Estimate(
            values=tuple(value - other[seed] for seed, value in zip(a.seeds, a.values, strict=True)), seeds=a.seeds
        )
        ends = paired.interval(confidence)
        return None if ends is None else Difference(mean=paired.mean, low=ends[0], high=ends[1])
    if a.deviation is None or b.deviation is None:
        return None
    first, second = a.deviation**2 / a.count, b.deviation**2 / b.count
    error = first + second
    half = 0.0
    if error:
        freedom = error**2 / (first**2 / (a.count - 1) + second**2 / (b.count - 1))
        half = _critical(confidence, freedom) * math.sqrt(error)
    return Difference(mean=apart, low=apart - half, high=apart + half)


@functools.lru_cache(maxsize=256)
def _critical(confidence: float, freedom: float) -> float:
    """Returns Student's t that a share of `confidence` lies within."""
    if not 0 < confidence < 1:
        raise SettingError(f"confidence is {confidence}; expected a number above 0 and below 1, such as 0.95")
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))
