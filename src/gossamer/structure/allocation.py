"""How many units each group loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gossamer.settings import Settings
from gossamer.structure.groups import Group
from gossamer.structure.removal import parse_ranges, ranges


@dataclass(frozen=True, kw_only=True)
class GroupAllocation(Settings):
    """A family: how many units each group loses."""

    def keep(self, scores: Mapping[Group, Tensor], ratio: float, multiple_of: int) -> dict[Group, Tensor]:
        """Returns which units stay, (units,) bool for each group.

        Args:
            scores: (units,) for each group; higher = keep.
            ratio: Fraction of the units to remove, in [0, 1).
            multiple_of: Kept widths are rounded up to multiples of it, where the group is as large.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define keep()")


@dataclass(frozen=True, kw_only=True)
class SameRatio(GroupAllocation):
    """Every group loses the same fraction, rounded so that at least one unit stays."""

    name = "uniform"

    def keep(self, scores: Mapping[Group, Tensor], ratio: float, multiple_of: int) -> dict[Group, Tensor]:
        """Returns the best units of each group."""
        return {
            group: best(score, width(group.size, (1.0 - ratio) * group.size, multiple_of))
            for group, score in scores.items()
        }


@dataclass(frozen=True, kw_only=True)
class AllTogether(GroupAllocation):
    """Units of all groups are ranked together, by their score over the mean, or largest, score of their group.

    Groups of different sizes are made comparable as in DepGraph; each keeps at least a tenth of its units.
    """

    name = "global"
    relative_to: Literal["mean", "max"] = "mean"

    def keep(self, scores: Mapping[Group, Tensor], ratio: float, multiple_of: int) -> dict[Group, Tensor]:
        """Returns the units above the threshold that removes the fraction asked for."""
        if not scores:
            return {}
        by = torch.max if self.relative_to == "max" else torch.mean
        relative = {group: score / by(score).clamp_min(1e-300) for group, score in scores.items()}
        ranked = torch.cat(list(relative.values())).sort().values
        remove = round(ratio * len(ranked))
        threshold = ranked[remove - 1] if remove else ranked[0] - 1
        return {
            group: best(score, width(group.size, max(float((score > threshold).sum()), 0.1 * group.size), multiple_of))
            for group, score in relative.items()
        }


@dataclass(frozen=True, kw_only=True)
class Exactly(GroupAllocation):
    """These units stay, of these groups; other groups keep all of theirs, and no score or ratio has a say."""

    name = "exactly"
    units: tuple[tuple[str, str], ...] = ()  # name of a group, and its units that stay, as in "0-3,7"

    @classmethod
    def masks(cls, keep: Mapping[str, Tensor]) -> Exactly:
        """Makes one of masks, (units,) bool, by the names of groups.

        >>> Exactly.masks({"0.weight:0": torch.tensor([True, False, True])}).units
        (('0.weight:0', '0,2'),)
        """
        return cls(units=tuple((name, ranges(mask.nonzero().flatten())) for name, mask in keep.items()))

    def keep(self, scores: Mapping[Group, Tensor], ratio: float, multiple_of: int) -> dict[Group, Tensor]:
        """Returns the units given."""
        del ratio, multiple_of
        found = {}
        known = dict(self.units)
        for group in scores:
            found[group] = torch.ones(group.size, dtype=torch.bool)
            if group.name in known:
                found[group][:] = False
                found[group][parse_ranges(known[group.name])] = True
        return found


def width(size: int, wanted: float, multiple_of: int) -> int:
    """Returns how many of `size` units stay: `wanted`, rounded, a multiple where there is one, at least one."""
    count = max(1, round(wanted))
    if multiple_of > 1:
        count = -(-count // multiple_of) * multiple_of
    return min(count, size)


def best(score: Tensor, count: int) -> Tensor:
    """Returns a mask of the `count` highest scores; of equal ones, the first."""
    mask = torch.zeros(len(score), dtype=torch.bool)
    mask[score.argsort(descending=True, stable=True)[:count]] = True
    return mask
