r"""Scores by second derivatives: how much the loss grows, near a minimum, when a unit's weights are zero.

| score | worth of a unit | source |
|---|---|---|
| `GroupFisher` | ½·Σ w²·mean g², g being gradients of batches | Theis et al., arXiv 1801.05787; Liu et al., ICML 2021 |
| `GroupHessian` | \|Σ (½·w²·h − w·g)\|, h being the Hessian's diagonal | LeCun, Denker & Solla, NIPS 1989 |

Sums are over the unit's weights in all members. h is estimated with products of the Hessian and random signs z: the
mean of z ⊙ H·z (Bekas, Kokiopoulou & Saad, 2007), exact where the Hessian is diagonal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.settings import bounded
from gossamer.structure.groups import Group
from gossamer.structure.observer import Observer
from gossamer.structure.scores import GroupScore, group_sums


@dataclass(frozen=True, kw_only=True)
class GroupFisher(GroupScore):
    """½ · Σ w² · mean g²."""

    name = "fisher"
    passes = 3.0

    def scores(self, groups: Sequence[Group], observer: Observer) -> Mapping[Group, Tensor]:
        """Returns the sums over all members."""
        batches = observer.gradients(self.name)
        change = {
            name: 0.5 * weight.detach().square() * sum(g[name].square() for g in batches if name in g) / len(batches)
            for name, weight in observer.parameters.items()
            if any(name in g for g in batches)
        }
        return {group: group_sums(group, change) for group in groups}


@dataclass(frozen=True, kw_only=True)
class GroupHessian(GroupScore):
    """|Σ (½ · w² · h − w · g)|: the loss to second order without the unit, if its weights are independent.

    A training step's batches are gone through twice a probe, and once for g.
    """

    name = "hessian"
    passes = 3.0 + 4 * 6.0
    probes: int = bounded(4, ge=1)  # random vectors by which the diagonal is estimated

    def scores(self, groups: Sequence[Group], observer: Observer) -> Mapping[Group, Tensor]:
        """Returns the sums over all members."""
        batches = observer.gradients(self.name)
        learned = {name: observer.parameters[name].detach() for name in dict.fromkeys(n for g in batches for n in g)}
        slope = {name: sum(g[name] for g in batches if name in g) / len(batches) for name in learned}
        diagonal = {name: torch.zeros_like(weight) for name, weight in learned.items()}
        for _ in range(self.probes):
            signs = {
                name: (torch.randint(2, weight.shape, generator=observer.generator) * 2 - 1).to(weight)
                for name, weight in learned.items()
            }
            for name, value in observer.hessian_product(signs, self.name).items():
                diagonal[name] += signs[name] * value / self.probes
        change = {name: 0.5 * w.square() * diagonal[name] - w * slope[name] for name, w in learned.items()}
        return {group: group_sums(group, change).abs() for group in groups}
