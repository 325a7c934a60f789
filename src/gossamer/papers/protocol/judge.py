"""Verdicts: what paired observations of a claim say about it.

Per seed the effect is d = measured − baseline, or log(measured / baseline) for ratios. The tests are t-tests on
the d of all seeds, at 5 %:

- higher, lower: the paired t-test, two-sided.
- equal: two one-sided tests (TOST; Schuirmann 1987) against ± tolerance; the larger p counts.
- no lower, no higher: the one of the two that matters (non-inferiority).

Why t and not ranks or permutations: with the usual 5 seeds an exact sign-flip or Wilcoxon test cannot go below
p = 1/16, so nothing could ever hold; and each d is a difference of averages over a test set, which is where the
t-test's normality is a fair assumption. It needs at least 3 seeds; fewer get no verdict. Counted quantities that
do not vary from seed to seed have spread 0, and p is then 0 or 1.

| verdict | higher, lower | equal, no lower, no higher |
|---|---|---|
| holds | right sign, p < 5 %, mean effect no more than `tolerance` short of `margin` | p < 5 % |
| holds in direction only | right sign | mean effect within tolerance |
| does not hold | otherwise | otherwise |
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gossamer.errors import DataError
from gossamer.papers.protocol.experiment import Pair
from gossamer.papers.protocol.paper import Claim

Verdict = Literal["holds", "holds in direction only", "does not hold", "not testable at this scale"]
LEVEL = 0.05  # of significance
LEAST_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and the figures it rests on, each rounded to 6 digits; None where nothing was measured.

    Attributes:
        verdict: One of the four.
        why: One sentence.
        measured: Mean over seeds of the method's value.
        baseline: Mean over seeds of the baseline's.
        effect: Mean of measured − baseline, or the geometric mean of measured / baseline.
        spread: Sample standard deviation over seeds of the difference, or of the ratio; None for one seed.
        p_value: Of the test above.
    """

    verdict: Verdict
    why: str
    measured: float | None = None
    baseline: float | None = None
    effect: float | None = None
    spread: float | None = None
    p_value: float | None = None


def judge(claim: Claim, pairs: Sequence[Pair], *, why: str = "") -> Judgement:
    """Returns the verdict on a claim.

    Args:
        claim: What is claimed.
        pairs: One observation a seed.
        why: Why there are none, where there are none.

    Raises:
        DataError: A ratio of numbers that are not all above 0.
    """
    if not pairs:
        return Judgement(verdict="not testable at this scale", why=why or "nothing was measured")
    ratio = claim.comparison == "ratio"
    if ratio and min(min(pair.measured, pair.baseline) for pair in pairs) <= 0:
        raise DataError(f"claim {claim.id}: a ratio needs numbers above 0; compare by difference")
    effects = [math.log(p.measured / p.baseline) if ratio else p.measured - p.baseline for p in pairs]
    seen = [p.measured / p.baseline for p in pairs] if ratio else effects
    mean = statistics.fmean(effects)
    figures: dict[str, Any] = {
        "measured": rounded(statistics.fmean(pair.measured for pair in pairs)),
        "baseline": rounded(statistics.fmean(pair.baseline for pair in pairs)),
        "effect": rounded(math.exp(mean) if ratio else mean),
        "spread": rounded(statistics.stdev(seen)) if len(seen) > 1 else None,
    }
    if len(pairs) < LEAST_SEEDS:
        count = f"{len(pairs)} seed{'s' if len(pairs) > 1 else ''}"
        reason = f"{count} measured; a verdict needs at least {LEAST_SEEDS}"
        return Judgement(verdict="not testable at this scale", why=reason, **figures)
    ranked = claim.direction in ("higher", "lower")
    verdict, p_value, reason = _ranked(claim, effects) if ranked else _bounded(claim, effects)
    return Judgement(verdict=verdict, why=reason, p_value=rounded(p_value), **figures)


def _ranked(claim: Claim, effects: Sequence[float]) -> tuple[Verdict, float, str]:
    """Judges higher and lower: turned so that up is right."""
    sign = 1.0 if claim.direction == "higher" else -1.0
    towards = [sign * effect for effect in effects]
    mean, least = statistics.fmean(towards), 0.0
    if claim.margin is not None:
        size = math.log(claim.margin) if claim.comparison == "ratio" else claim.margin
        least = sign * size - _slack(claim)
    p_value = two_sided(towards)
    if mean <= 0:
        return "does not hold", p_value, f"the effect is not {claim.direction}"
    if p_value >= LEVEL:
        return "holds in direction only", p_value, "the effect is not significant"
    if mean < least:
        return "holds in direction only", p_value, "the effect is smaller than claimed"
    return "holds", p_value, "significant" if claim.margin is None else "significant, and of the size claimed"


def _bounded(claim: Claim, effects: Sequence[float]) -> tuple[Verdict, float, str]:
    """Judges equal, no lower and no higher."""
    slack, mean = _slack(claim), statistics.fmean(effects)
    gaps = []  # how far the mean is inside each bound, and how surely
    if claim.direction != "no higher":
        gaps.append((mean + slack, one_sided([effect + slack for effect in effects])))
    if claim.direction != "no lower":
        gaps.append((slack - mean, one_sided([slack - effect for effect in effects])))
    p_value = max(p for _, p in gaps)
    if min(gap for gap, _ in gaps) < 0:
        return "does not hold", p_value, "the effect is beyond the tolerance"
    if p_value >= LEVEL:
        return "holds in direction only", p_value, "within the tolerance, but not significantly so"
    return "holds", p_value, "significantly within the tolerance"


def _slack(claim: Claim) -> float:
    return math.log1p(claim.tolerance) if claim.comparison == "ratio" else claim.tolerance


def two_sided(values: Sequence[float]) -> float:
    """Returns the p-value of the t-test that the mean is 0; `values` are at least 2."""
    sign = math.copysign(1.0, statistics.fmean(values))
    return min(2.0 * one_sided([sign * value for value in values]), 1.0)


def one_sided(values: Sequence[float]) -> float:
    """Returns the p-value of the t-test that the mean is at most 0; small where it is clearly above."""
    from scipy.special import stdtr

    mean, spread = statistics.fmean(values), statistics.stdev(values)
    if not spread:
        return 0.0 if mean > 0 else 1.0
    return float(stdtr(len(values) - 1, -mean / (spread / math.sqrt(len(values)))))


def rounded(value: float) -> float:
    """Returns a number to 6 significant digits, so that records do not depend on the last bit of a library.

    >>> rounded(0.123456789), rounded(-0.0)
    (0.123457, 0.0)
    """
    return float(f"{value:.6g}") + 0.0
