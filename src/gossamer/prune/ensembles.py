"""Groups of units that talk to one group of the next layer: which weights a network begins with, and how modular it is.

The n units of a layer are cut into G groups of consecutive ones, unit j being of group ⌊j·G/n⌋; each group feeds the
group of the next layer that the wiring gives it. A weight between two groups that are wired has odds p_in, any other
p_out. Channels are the units of convolutions, rows of each third those of attention's joint projection of queries, keys
and values. After Konstantaropoulos, Smirnakis & Papadopouli, "Neuro-inspired ensemble-to-ensemble communication
primitives for sparse and efficient ANNs", BIBE 2025.

Ours: the number of weights is given, so p_in and p_out are odds and not chances, and they hold exactly, up to one
weight; where the wired pairs of groups are full the others get the rest. Every output keeps an input as long as there
are weights enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError, SettingError
from gossamer.prune.scores import Score
from gossamer.prune.selection import GONE, top
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Labels:
    """The groups of a layer's outputs and inputs; those with the same number are wired.

    Attributes:
        outputs: (R,) int64.
        inputs: (C_in,) int64; the columns of a kernel share one.
    """

    outputs: Tensor
    inputs: Tensor

    def within(self, columns: int) -> Tensor:
        """Returns which weights lie between wired groups, (R, columns) bool."""
        same = self.outputs[:, None] == self.inputs[None, :]
        return same.repeat_interleave(columns // len(self.inputs), 1)


@dataclass(frozen=True, kw_only=True)
class GroupToGroup(Score):
    """Weights between wired groups and others, in a random order in which any first part has the same mixture."""

    name = "group-to-group"
    local = False
    groups: int = bounded(4, ge=1)  # G
    within: float = bounded(1.0, ge=0.0, le=1.0)  # p_in, odds of a weight between wired groups
    between: float = bounded(0.0, ge=0.0, le=1.0)  # p_out, odds of any other
    wiring: Literal["identity", "permuted"] = "identity"  # "permuted": each layer's groups feed others at random
    inputs: Literal["contiguous", "shuffled"] = "contiguous"  # "shuffled": groups of the first layer's inputs at random
    seed: int = bounded(0, ge=0)  # of wiring and shuffling

    def __post_init__(self) -> None:
        """Checks that there are odds at all as well as the ranges."""
        super().__post_init__()
        if not (self.within or self.between):
            raise SettingError("group-to-group: within and between are both 0; expected one above 0")

    @property
    def odds(self) -> float:
        """p_in / (p_in + p_out)."""
        return self.within / (self.within + self.between)

    def labels(self, model: nn.Module, weights: Sequence[PrunableWeight]) -> dict[str, Labels]:
        """Returns the groups of each layer that has at least one unit for each; grouped convolutions have none."""
        draw = torch.Generator().manual_seed(self.seed)
        found = {}
        for place, weight in enumerate(weights):
            blocks = 3 if weight.name.endswith("in_proj_weight") else 1
            outputs, inputs = weight.rows // blocks, weight.weight.shape[1]
            wiring = torch.randperm(self.groups, generator=draw)
            shuffle = torch.randperm(inputs, generator=draw)
            grouped = getattr(model.get_submodule(weight.layer), "groups", 1) > 1
            if grouped or min(outputs, inputs) < self.groups:
                continue
            source = torch.arange(inputs) * self.groups // inputs
            if self.inputs == "shuffled" and place == 0:
                source = source[shuffle]
            if self.wiring == "permuted":
                source = wiring[source]
            found[weight.name] = Labels((torch.arange(outputs) * self.groups // outputs).repeat(blocks), source)
        return found

    def grouped(
        self, model: nn.Module, weights: Sequence[PrunableWeight]
    ) -> tuple[tuple[PrunableWeight, ...], tuple[str, ...]]:
        """Returns the weights that have groups, and the names of the others.

        Raises:
            ModelError: None has.
        """
        labels = self.labels(model, weights)
        if not labels:
            shapes = ", ".join(f"{weight.name} {tuple(weight.weight.shape)}" for weight in weights)
            raise ModelError(
                f"group-to-group: no layer has inputs and outputs for {self.groups} groups; this model has: {shapes}"
            )
        having = tuple(weight for weight in weights if weight.name in labels)
        return having, tuple(weight.name for weight in weights if weight.name not in labels)

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns which weights lie between wired groups, in the shape of the weight, of layers that have groups."""
        del task, batches
        labels = self.labels(model, weights)
        shapes = {weight.name: weight.weight.shape for weight in weights}
        return {name: label.within(shapes[name][1:].numel()).view(shapes[name]) for name, label in labels.items()}

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns minus the place in the order, float64; the taps of a kernel share one. Without groups, any order."""
        taps = math.prod(weight.shape[2:])
        pairs = (weight.shape[0], weight.numel() // weight.shape[0] // taps)
        chance = torch.rand(pairs, generator=generator, dtype=torch.float64)
        place = chance
        if observed is not None:
            inside = observed.cpu().reshape(*pairs, taps)[:, :, 0]
            place = torch.empty_like(chance)
            for side, odds in ((inside, self.within), (~inside, self.between)):
                order = chance[side].argsort().argsort().double() + 0.5
                place[side] = order / (odds * len(order)) if odds else order + 1.0 / (self.within + self.between)
        first = place.argmin(dim=1, keepdim=True)
        place = place.scatter(1, first, place.gather(1, first) - 2.0 * float(place.max()))
        return -place[:, :, None].expand(*pairs, taps).reshape(weight.shape).to(weight.device)


def favoured(promise: Tensor, within: Tensor, number: int, odds: float, generator: torch.Generator) -> Tensor:
    """Returns scores of candidates by which about `odds` of the best `number` lie within groups.

    At least how many is drawn, a coin for each; those are the best within groups, the others the best of what is left.

    Args:
        promise: (G,), `GONE` = not available.
        within: (G,) bool.
        number: How many will be taken.
        odds: In [0, 1].
        generator: On the CPU; the source of chance.
    """
    coins = torch.rand(number, generator=generator, dtype=torch.float64) < odds
    available = within & (promise > GONE)
    first = top(promise.masked_fill(~available, GONE), min(int(coins.sum()), int(available.sum())))
    return promise.masked_fill(first, float(promise.max()) + 1.0)


def modularity(weight: Tensor, labels: Labels) -> float:
    """Returns the modularity of a layer by its groups: Q = Σ_c [L_c / m − (D_c / 2m)²].

    m is the sum of |w|, L_c that between the units of group c, D_c what all their weights come to, as Newman has it for
    the weighted graph of inputs and outputs ("Analysis of weighted networks", Physical Review E 2004). Q is 1 − 1/G for
    G equal blocks and about 0 where groups mean nothing.

    Args:
        weight: (R, C).
        labels: Its groups.

    Returns:
        Q in [-1, 1); 0 for a layer of zeros.
    """
    size = weight.double().abs().cpu().reshape(weight.shape[0], len(labels.inputs), -1).sum(2)
    total = float(size.sum())
    if total == 0.0:
        return 0.0
    groups = int(max(labels.outputs.max(), labels.inputs.max())) + 1
    within = float(size[labels.within(size.shape[1])].sum())
    degree = torch.zeros(groups, dtype=torch.float64)
    degree.index_add_(0, labels.outputs, size.sum(1)).index_add_(0, labels.inputs, size.sum(0))
    return within / total - float((degree / (2.0 * total)).square().sum())
