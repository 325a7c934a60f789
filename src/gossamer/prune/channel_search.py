"""Searches how many channels each layer needs, while it trains: scales of normalisations under an l1 penalty.

    penalty = strength · Σ_c cost_c · |γ_c|         over the scales γ of all normalisations of channels that may go
    cost_c ∝ multiply-accumulates of the channel, 1 on the average of all scales

A channel all of whose scales are next to nothing is dead, and is cut out of the network (`structure`). The search is
that of You et al., "SuperTickets", ECCV 2022, after network slimming (Liu et al., ICCV 2017); branches whose
channels are all dead but one remain. A channel hangs together over layers, so it has the scales of all of them, and
is dead only when they all are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.counting import count_macs
from gossamer.settings import Settings, bounded
from gossamer.structure import Group, GroupAllocation, GroupScore, Member, Observer, Removal, groups, plan, trace

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True, kw_only=True)
class ChannelSearch(Settings):
    """How strongly scales are pressed, and when a channel is dead; the defaults are those for ImageNet."""

    strength: float = bounded(1.8e-4, ge=0.0)  # ρ
    free: float = bounded(0.0, ge=0.0, lt=1.0)  # fraction of the training before the penalty
    warm_up: float = bounded(0.07, ge=0.0, lt=1.0)  # fraction of the training in which it grows to ρ
    dead: float = bounded(1e-3, ge=0.0)  # a scale of at most this much is none
    worth: float = bounded(0.01, ge=0.0, lt=1.0)  # dead channels go once they take this fraction of the arithmetic

    def strength_at(self, progress: float) -> float:
        """Returns ρ at a fraction of the training."""
        if progress < self.free or (self.warm_up == 0 and progress == 0):
            return 0.0
        return self.strength * (1.0 if self.warm_up == 0 else min(1.0, (progress - self.free) / self.warm_up))


@dataclass(frozen=True, eq=False)
class Scaled:
    """A group of channels with scales.

    Attributes:
        scales: Where they lie: vectors of normalisations.
        cost: Of each channel, multiply-accumulates over their average.
    """

    group: Group
    scales: tuple[Member, ...]
    cost: float


class ChannelScales:
    """The scales of a network's channels; made anew whenever channels went."""

    def __init__(self, search: ChannelSearch, model: nn.Module, example: tuple[Any, ...]) -> None:
        self._search, self._model, self._example = search, model, example
        vectors = scale_names(model)
        parameters = dict(model.named_parameters())
        self._vectors = tuple(vectors)
        profile = count_macs(model, example)
        self.macs = profile.total
        found = []
        for group in groups(trace(model, example)):
            scales = tuple(member for member in group.members if member.tensor in vectors)
            if scales and not group.refused:
                layers = {m.tensor.rpartition(".")[0] for m in group.members if m.tensor in parameters}
                found.append((group, scales, sum(profile.by_module.get(layer, 0) for layer in layers) / group.size))
        count = sum(group.size * len(scales) for group, scales, _ in found)
        mean = sum(group.size * len(scales) * macs for group, scales, macs in found) / max(count, 1)
        self.groups = [Scaled(group, scales, macs / max(mean, 1e-30)) for group, scales, macs in found]
        self._mean = mean

    def penalty(self, progress: float) -> Tensor | None:
        """Returns the penalty at a fraction of the training; None where there is none."""
        strength = self._search.strength_at(progress)
        if not strength or not self.groups:
            return None
        parameters = dict(self._model.named_parameters())
        terms = [one.cost * parameters[member.tensor].abs().sum() for one in self.groups for member in one.scales]
        return strength * torch.stack(terms).sum()

    def cut(self, optimizer: Optimizer | None) -> Removal | None:
        """Cuts dead channels out of the network if they are worth it; returns what was removed, None for nothing.

        At least one channel of each group stays.
        """
        score = LargestScale(scales=self._vectors)
        parameters: Mapping[str, Tensor] = dict(self._model.named_parameters())
        saved = 0.0
        for one in self.groups:
            dead = int((score.of(one.group, parameters) <= self._search.dead).sum())
            saved += one.cost * self._mean * min(dead, one.group.size - 1)
        if not saved or saved < self._search.worth * self.macs:
            return None
        found = plan(self._model, self._example, ratio=0.0, score=score, allocation=Above(least=self._search.dead))
        if not found.groups:
            return None
        found.apply_(self._model, optimizer)
        return found.removal


@dataclass(frozen=True, kw_only=True)
class LargestScale(GroupScore):
    """The largest of a channel's scales; infinite where it has none."""

    name = "largest-scale"
    scales: tuple[str, ...] = ()  # names of the vectors

    def score(self, group: Group, observer: Observer) -> Tensor:
        """Returns |γ|, the largest of each channel."""
        return self.of(group, observer.parameters)

    def of(self, group: Group, parameters: Mapping[str, Tensor]) -> Tensor:
        """Returns |γ|, the largest of each channel, for parameters by name."""
        found = torch.full((group.size,), -torch.inf, dtype=torch.float64)
        for member in group.members:
            if member.tensor in self.scales:
                known = member.units >= 0
                values = parameters[member.tensor].detach().abs().double().cpu()
                found.scatter_reduce_(0, member.units[known], values[known], "amax")
        return found.masked_fill(found == -torch.inf, torch.inf)


@dataclass(frozen=True, kw_only=True)
class Above(GroupAllocation):
    """Every group keeps what has a score above a threshold, and its best unit."""

    name = "above"
    least: float = bounded(0.0, ge=0.0)

    def keep(self, scores: Mapping[Group, Tensor], ratio: float, multiple_of: int) -> dict[Group, Tensor]:
        """Returns the units above the threshold; the ratio has no say."""
        del ratio, multiple_of
        masks = {group: score > self.least for group, score in scores.items()}
        for group, mask in masks.items():
            mask[scores[group].argmax()] = True
        return masks


def scale_names(model: nn.Module) -> tuple[str, ...]:
    """Returns the names of the scales of all normalisations."""
    norms = {name for name, module in model.named_modules() if isinstance(module, _NORMS)}
    return tuple(
        name
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[0] in norms and name.rpartition(".")[2] == "weight" and parameter.dim() == 1
    )
