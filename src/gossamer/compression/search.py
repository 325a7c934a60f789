"""Finds the gentlest setting of a method's knob whose network is within a budget.

A method names its knob: the field that makes networks smaller as it grows, `sparsity` for pruning. Cost falls as the
knob rises, but only roughly: a measured latency is noisy, has plateaus, and may rise again where a layer changes its
kernel. So the search trusts little:

- no trial is made twice, and a value that the method refuses is passed over;
- where the largest value misses the budget, values below it are tried before the budget is called out of reach;
- a latency is aimed 3 % below its bound, so that the network keeps the bound when it is measured anew, and the search
  ends once a trial is within 2 % of the aim: finer differences are noise.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from gossamer.compression.method import Method
from gossamer.cost import Budget, Cost
from gossamer.errors import GossamerError, ModelError, SettingError
from gossamer.settings import Settings

_RESOLUTION = 1e-3  # of the knob's range: finer steps are not tried
MARGIN = 0.03  # how far below its bound a latency is aimed
_NOISE = 0.02  # relative difference between latencies that means nothing
_EDGE = 1e-3  # of the range: how near to a bound that is not part of it a value may come
_BELOW = (0.99, 0.97, 0.9, 0.75, 0.5, 0.25)  # places in the knob's range that are tried where its end is of no use


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One value of the knob that was tried.

    Attributes:
        value: The knob's.
        cost: What the network then takes; None where the method refused the value.
        error: Why it did.
    """

    value: float
    cost: Cost | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with every field."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Takes back what `to_json` returned."""
        return cls(**{**value, "cost": None if value["cost"] is None else Cost.from_json(value["cost"])})


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        method: The method with its knob set.
        cost: What its trial cost.
        met: Whether that is within the budget; if not, no trial was, and this is the nearest.
        trials: All that was tried, in order.
    """

    method: Method
    cost: Cost
    met: bool
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with every field."""
        return {
            "method": self.method.to_json(),
            "cost": self.cost.to_json(),
            "met": self.met,
            "trials": [trial.to_json() for trial in self.trials],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Takes back what `to_json` returned; raises SettingError where the method or a cost does not read."""
        return cls(
            method=Method.from_json(value["method"]),
            cost=Cost.from_json(value["cost"]),
            met=value["met"],
            trials=tuple(Trial.from_json(trial) for trial in value["trials"]),
        )


def settle(
    method: Method,
    budget: Budget,
    trial: Callable[[Method], Cost],
    *,
    known: Sequence[Trial] = (),
    report: Callable[[Trial], object] | None = None,
) -> Found:
    """Returns `method` with its knob at the smallest value found whose trial is within the budget.

    Args:
        method: Its `knob` names a number with a lower and an upper bound.
        budget: What to stay within.
        trial: Gives the cost of a method's network; a value that it refuses with a `SettingError` or `ModelError` is
            passed over.
        known: Trials of an earlier search, which are not made again.
        report: Called with each new trial.

    Returns:
        The setting, its cost and all trials. Where none is within the budget, the gentlest of those that come nearest,
        with `met` False.

    Raises:
        SettingError: The method has no knob with two bounds, or the budget bounds what only training can tell.
        GossamerError: The method refuses every value; this is its reason for the last.
    """
    if budget.training_macs is not None:
        raise SettingError("a budget of training_macs cannot be searched for: only training tells them; drop the bound")
    search = _Search(method, budget, trial, known, report)
    if search.over(search.low) > 0 and search.reach():
        search.bisect()
    return search.found()


def tighter(budget: Budget, promised: Cost, found: Cost) -> Budget:
    """Returns the budget to search with if a network exceeds a bound that its trial kept.

    A bound that `found` exceeds is lowered by as much as the network costs more than its trial `promised`.
    """
    return budget.replace(
        **{
            name: bound * min(1.0, getattr(promised, name) / cost)
            for name, (cost, bound) in budget.violations(found).items()
        }
    )


class _Search:
    """The trials of one search, by value; what is over is over the aim."""

    def __init__(
        self,
        method: Method,
        budget: Budget,
        trial: Callable[[Method], Cost],
        known: Sequence[Trial],
        report: Callable[[Trial], object] | None,
    ) -> None:
        self._method, self._budget = method, budget
        self._timed = budget.latency_ms is not None
        self._aim = budget if budget.latency_ms is None else budget.replace(latency_ms=budget.latency_ms * (1 - MARGIN))
        limits = interval(method, method.knob)
        if limits is None:
            raise SettingError(
                f"{method.name or type(method).__name__} has no knob with a lower and an upper bound that a budget "
                "could turn; choose another method"
            )
        self.low, self._high, self._whole = limits
        self._trials = {one.value: one for one in known}
        self._trial, self._report = trial, report
        self._refusal: GossamerError | None = None

    def over(self, value: float) -> float:
        """Returns by how much a trial misses the aim, at most 0 where it does not; infinite for a value refused."""
        if value not in self._trials:
            self._trials[value] = self._try(value)
            if self._report is not None:
                self._report(self._trials[value])
        return self._excess(self._trials[value], self._aim)

    def reach(self) -> bool:
        """Looks for a value within the budget, from the top, and says whether there is one."""
        if any(self.over(value) <= 0 for value in list(self._trials)):
            return True
        if self.over(self._high) <= 0:
            return True
        if not self._timed and self._trials[self._high].cost is not None:
            return False  # what is counted is least at the end
        inner = [self._rounded(self.low + part * (self._high - self.low)) for part in _BELOW]
        return any(self.over(value) <= 0 for value in [*inner, float(getattr(self._method, self._method.knob))])

    def bisect(self) -> None:
        """Looks for the smallest value within the budget, between the smallest known and the next one below it."""
        high = min(value for value in self._trials if self.over(value) <= 0)
        low = max((value for value in self._trials if value < high), default=self.low)
        while high - low > _RESOLUTION * (self._high - self.low):
            middle = self._rounded((low + high) / 2)
            if middle in {low, high} or (self._timed and self.over(high) >= -_NOISE):
                return
            low, high = (low, middle) if self.over(middle) <= 0 else (middle, high)

    def found(self) -> Found:
        """Returns the gentlest of the trials that reach the aim, or of those that come nearest."""
        made = sorted((one for one in self._trials.values() if one.cost is not None), key=lambda one: one.value)
        if not made:
            assert self._refusal is not None
            raise self._refusal
        excess = {one.value: self._excess(one, self._budget) for one in made}
        least = min(excess.values())
        near = least + _NOISE * (1 + least) if self._timed and least > 0 else least
        best = next((one for one in made if self.over(one.value) <= 0), None)
        best = best or next(one for one in made if excess[one.value] <= near)
        assert best.cost is not None
        return Found(
            method=self._at(best.value),
            cost=best.cost,
            met=excess[best.value] <= 0,
            trials=tuple(self._trials.values()),
        )

    def _try(self, value: float) -> Trial:
        try:
            return Trial(value=value, cost=self._trial(self._at(value)))
        except (SettingError, ModelError) as error:
            self._refusal = error
            return Trial(value=value, error=str(error))

    def _at(self, value: float) -> Method:
        return self._method.replace(**{self._method.knob: int(value) if self._whole else value})

    def _rounded(self, value: float) -> float:
        """Returns a value as it is tried: a whole number where the knob is one, else with six digits."""
        return float(math.floor(value)) if self._whole else round(value, 6)

    @staticmethod
    def _excess(trial: Trial, budget: Budget) -> float:
        return math.inf if trial.cost is None else budget.excess(trial.cost)


def interval(settings: Settings, name: str) -> tuple[float, float, bool] | None:
    """Returns the smallest and the largest value that a number field takes, and whether it is whole.

    None where there is no such field or it has not both bounds. A bound that is not part of the range is replaced by
    the next whole number, or by what is a thousandth of the range away.
    """
    field = next((field for field in dataclasses.fields(settings) if field.name == name), None)
    bounds = {} if field is None else field.metadata.get("bounds", {})
    if not bounds.keys() & {"ge", "gt"} or not bounds.keys() & {"le", "lt"}:
        return None
    whole = typing.get_type_hints(type(settings))[name] is int
    low = bounds.get("ge", bounds.get("gt", 0.0))
    high = bounds.get("le", bounds.get("lt", 0.0))
    step = 1.0 if whole else _EDGE * (high - low)
    return float(low + step * ("ge" not in bounds)), float(high - step * ("le" not in bounds)), whole
