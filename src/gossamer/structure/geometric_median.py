"""Scores by distance from the geometric median: a filter in the midst of the others can be replaced by them.

He, Liu, Wang, Hu & Yang, "Filter pruning via geometric median for deep convolutional neural networks acceleration",
CVPR 2019, eq. (8): g(x) = Σ_j ‖x − w_j‖ over all filters w_j of the layer; the filters where g is least go. Ours: in a
group that several layers make, each unit is worth the mean over these layers, each relative to its own mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.structure.groups import Group
from gossamer.structure.observer import Observer
from gossamer.structure.scores import GroupScore
from gossamer.structure.watch import of_units


@dataclass(frozen=True, kw_only=True)
class GeometricMedian(GroupScore):
    """Σ_j ‖w − w_j‖ over the units of the layers that make them."""

    name = "geometric-median"

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns the mean over the layers that make the group; over those that use it, where none does."""
        members = [(member, weight) for member, weight in observer.members(group) if weight.dim() > 1]
        making = [(member, weight) for member, weight in members if member.dim == 0] or members
        found = []
        for member, weight in making or observer.members(group):
            filters = of_units(weight.double(), member.dim, member.units, group.size, apart=False)[0].cpu()
            distances = torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
            found.append(distances / distances.mean().clamp_min(1e-300))
        return torch.stack(found).mean(0)
