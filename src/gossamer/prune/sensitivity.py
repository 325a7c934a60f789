"""Layer budgets by a scan: each layer alone is pruned to a few sparsities, and the loss says what it can spare.

Han, Pool, Tran & Dally, "Learning both weights and connections for efficient neural networks", NeurIPS 2015, set the
threshold of each layer by hand from such curves. Ours: every layer becomes as sparse as it can for one rise of the loss
that all share, the rise at which the whole has the sparsity asked for. Curves are made to rise, run straight between
the levels that were tried, and end, where nothing is left, at twice the highest rise of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from gossamer.errors import SettingError
from gossamer.prune.allocation import Allocation, apportion
from gossamer.prune.selection import Groups, kept
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Sensitivity(Allocation):
    """The same rise of the training loss in every layer, each pruned by itself."""

    name = "sensitivity"
    levels: tuple[float, ...] = bounded((0.5, 0.75, 0.9, 0.95, 0.98), gt=0.0, lt=1.0)  # sparsities to try, rising

    def __post_init__(self) -> None:
        """Checks that there are levels and that they rise, as well as the ranges."""
        super().__post_init__()
        if not self.levels or any(low >= high for low, high in zip(self.levels, self.levels[1:], strict=False)):
            raise SettingError(f"sensitivity: levels is {self.levels!r}; expected at least one, each above the last")

    def scans(self, layers: int) -> int:
        """Returns how often the loss is asked for: at each level for each layer, and once for the whole network."""
        return layers * len(self.levels) + 1

    def scanned(self, layers: int, loss: Callable[[int, float], float]) -> Allocation:
        """Returns the budgets of what the loss says."""
        whole = loss(0, 0.0)
        return Curves(
            levels=self.levels,
            rises=tuple(tuple(loss(layer, level) - whole for level in self.levels) for layer in range(layers)),
        )

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Refuses: nothing was scanned.

        Raises:
            SettingError: Always.
        """
        raise SettingError("sensitivity: no network was scanned; prune by 'hard-masks', or take another allocation")


@dataclass(frozen=True, kw_only=True)
class Curves(Allocation):
    """What a scan found: the rise of the loss at each level, a row a layer."""

    levels: tuple[float, ...]
    rises: tuple[tuple[float, ...], ...]

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Returns what each layer keeps where all have the same rise, found by bisection."""
        total = kept(sum(layer.weights for layer in layers), sparsity)
        highest = max(max(0.0, *row) for row in self.rises)
        at = np.array([0.0, *self.levels, 1.0])
        rising = [
            np.array([*accumulate((0.0, *row), max), 2.0 * highest + 1.0]) + 1e-6 * (highest + 1.0) * at
            for row in self.rises
        ]  # a little slope everywhere, so that layers that feel nothing share what they lose

        def shares(rise: float) -> list[float]:
            return [
                max((1.0 - float(np.interp(rise, curve, at))) * layer.weights, 1e-6)
                for curve, layer in zip(rising, layers, strict=True)
            ]

        low, high = 0.0, float(max(curve[-1] for curve in rising))
        for _ in range(100):
            middle = (low + high) / 2.0
            low, high = (middle, high) if sum(shares(middle)) > total else (low, middle)
        return apportion(
            shares(high),
            total,
            lowest=[layer.best for layer in layers],
            highest=[layer.available for layer in layers],
            quanta=[layer.quantum for layer in layers],
        )
