"""Scores by the scales of batch normalisation: a channel that is scaled to nothing carries nothing.

Liu, Li, Shen, Huang, Yan & Zhang, "Learning efficient convolutional networks through network slimming", ICCV 2017:
an L1 penalty on the scales γ while the network trains (`prune.pressure.ScalePenalty`) drives some to zero, and |γ|
ranks the channels. Ours: a group in which several norms lie is worth the sum of theirs, and the scales of layer, group
and RMS norms count like those of batch norms. A group without any is worth the norm of the weights that make it, so
that every group has scores; they are compared within a group only, or relative to its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gossamer.structure.groups import Group
from gossamer.structure.observer import Observer
from gossamer.structure.scores import GroupScore, unit_sums


@dataclass(frozen=True, kw_only=True)
class NormScale(GroupScore):
    """Sum of |γ| over the norms in which a unit lies."""

    name = "norm-scale"

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns that of its norms, or of the weights that make it."""
        scales = norm_scales(observer.model)
        members = observer.members(group)
        norms = [unit_sums(member, weight.abs(), group.size) for member, weight in members if member.tensor in scales]
        if norms:
            return torch.stack(norms).sum(0)
        member, weight = members[0]
        return unit_sums(member, weight.square(), group.size).sqrt()


def norm_scales(model: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the parameters that scale what a module normalised, by name: of modules with statistics or `eps`."""
    return {
        f"{name}.weight" if name else "weight": module.weight
        for name, module in model.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter)
        and module.weight.dim() == 1
        and any(hasattr(module, mark) for mark in ("eps", "variance_epsilon", "running_var"))
    }
