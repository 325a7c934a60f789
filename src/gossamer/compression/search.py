"""Finds the gentlest setting of a method's knob whose network is within a budget.

A method names its knob: the field that makes networks smaller as it grows, `sparsity` for pruning. Cost falls as
the knob rises, so bisection finds the smallest value within the budget; a value that would be refused by the
method's own range is never tried.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from gossamer.compression.method import Method
from gossamer.cost import Budget, Cost

_TRIALS = 10  # halvings of the knob's range: to a thousandth of it


def find_setting(method: Method, budget: Budget, trial: Callable[[Method], Cost]) -> Method:
    """Returns `method` with its knob at the smallest value whose trial cost meets the budget.

    Where none does, the value with the smallest excess over the budget is returned; the caller checks and says so.

    Args:
        method: Its `knob` names a field with a lower and an upper bound.
        budget: What to stay within.
        trial: Gives the cost of a method's network; falls as the knob rises, but for noise.
    """
    low, high = _range(method)
    best: tuple[float, Method] | None = None

    def excess(value: float) -> float:
        nonlocal best
        candidate = method.replace(**{method.knob: value})
        over = budget.excess(trial(candidate))
        if best is None or over < best[0] or (over <= 0 and best[0] <= 0):
            best = (over, candidate)
        return over

    if excess(low) > 0 and excess(high) <= 0:
        for _ in range(_TRIALS):
            middle = (low + high) / 2
            low, high = (low, middle) if excess(middle) <= 0 else (middle, high)
        excess(high)
    assert best is not None
    return best[1]


def _range(method: Method) -> tuple[float, float]:
    """Returns the smallest and the largest value of the knob that the method takes."""
    bounds = next(field for field in dataclasses.fields(method) if field.name == method.knob).metadata["bounds"]
    low = bounds["ge"] if "ge" in bounds else math.nextafter(bounds["gt"], math.inf)
    high = bounds["le"] if "le" in bounds else bounds["lt"] - 1e-3 * (bounds["lt"] - low)
    return float(low), float(high)
