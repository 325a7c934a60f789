"""Scores by what units hold: a channel whose map is faint is not heard.

The mean of |activation| over data, where it is used: the criterion that others are compared with, as in Molchanov,
Tyree, Karras, Aila & Kautz, "Pruning convolutional neural networks for resource efficient inference", ICLR 2017,
section 2.2. It looks at each channel alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from gossamer.structure.groups import Group
from gossamer.structure.observer import Observer
from gossamer.structure.scores import GroupScore


@dataclass(frozen=True, kw_only=True)
class MeanActivation(GroupScore):
    """Mean of |activation|."""

    name = "activation"
    passes = 1.0

    def scores(self, groups: Sequence[Group], observer: Observer) -> Mapping[Group, Tensor]:
        """Returns means over data and places; groups that no product meets are left out."""
        total: dict[Group, Tensor] = {}
        seen: dict[Group, int] = {}

        def visit(group: Group, maps: Tensor) -> None:
            found = maps.double().abs().mean(2).sum(0).cpu()
            total[group] = total[group] + found if group in total else found
            seen[group] = seen.get(group, 0) + len(maps)

        observer.watch(groups, visit)
        return {group: total[group] / seen[group] for group in groups if group in total}
