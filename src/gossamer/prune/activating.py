"""Activating while pruning: part of each round's removals goes to weights that hold neurons down.

Liu, Ghosh, Tan & Motani, "AP: selective activation for de-sparsifying pruned networks", TMLR 2023. A method that prunes
in rounds removes a little less in each; the difference, q of the weights alive before the round, are negative weights
that moved least, |w − w at the start of the round's training|. Inputs of a ReLU then rise, and fewer neurons are dead.
The sparsity is that of the method alone.

`Activating` is a choice of `HardMasks`, beside any score, granularity, allocation and schedule. The other values of its
two fields are the controls: random negative weights, and positive ones that moved little. Ours: groups of weights are
candidates by the mean of their weights, and move by the mean of their movements; no layer loses its last group; a round
that follows no training leaves everything to the method, and so does what the candidates cannot fill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gossamer.prune.granularity import Granularity
from gossamer.prune.masks import Masks
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Activating(Settings):
    """Which weights a round removes so that neurons fire, and how many."""

    name = "activating"
    rate: float = bounded(0.02, ge=0.0, lt=1.0)  # q: fraction of the weights alive before a round
    most: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of a round's removals that it may take, for small rounds
    sign: Literal["negative", "positive"] = "negative"  # of the candidates
    order: Literal["movement", "random"] = "movement"  # which of them go first

    def share(self, alive: int, removed: int) -> int:
        """Returns how many weights it removes in a round that takes `removed` of `alive`, rounded down.

        >>> Activating().share(1000, 200), Activating().share(1000, 30)
        (20, 15)
        """
        return min(int(self.rate * alive), int(self.most * removed))

    def rank(self, now: Tensor, before: Tensor, generator: torch.Generator) -> Tensor:
        """Returns by what weights are taken, lowest first, in the shape of both."""
        if self.order == "movement":
            return (now - before).abs()
        return torch.rand(now.shape, generator=generator, dtype=torch.float64).to(now.device)


class Round:
    """The training between two prunings, as far as `Activating` has to know it.

    Args:
        settings: Which weights go.
        masks: Of the network.
        granularity: What is removed together; one that has an allocation.
    """

    def __init__(self, settings: Activating, masks: Masks, granularity: Granularity) -> None:
        self._settings = settings
        self._masks = masks
        self._granularity = granularity
        self.begin(0)

    def begin(self, step: int) -> None:
        """Remembers the weights with which training goes on after `step` steps."""
        self.step = step
        self.before = {weight.name: weight.weight.detach().clone() for weight in self._masks.weights}

    def spared(self, step: int, target: int) -> int:
        """Returns how many weights the method leaves for `remove`, of those above `target` kept weights."""
        alive = sum(self._masks.nonzeros().values())
        return self._settings.share(alive, max(alive - target, 0)) if step > self.step else 0

    @torch.no_grad()
    def remove(self, count: int, generator: torch.Generator) -> None:
        """Masks the candidates that come first in one ranking of the network, as many as fit into `count` weights."""
        settings, weights = self._settings, self._masks.weights
        wanted = -1.0 if settings.sign == "negative" else 1.0
        pieces = [self._granularity.of(tuple(weight.weight.shape)) for weight in weights]
        alive = [piece.active(self._masks.of(weight)) for piece, weight in zip(pieces, weights, strict=True)]
        ranks, sizes = [], []
        for piece, weight, living in zip(pieces, weights, alive, strict=True):
            now = weight.matrix(weight.weight.detach())
            before = weight.matrix(self.before[weight.name].to(now.device))
            rank = piece.pool(settings.rank(now, before, generator)).double()
            candidates = living & (wanted * piece.pool(now) > 0.0)
            candidates[rank.masked_fill(~living, -math.inf).argmax()] = False  # keeps the layer alive
            ranks.append(rank.masked_fill(~candidates, math.inf))
            sizes.append(piece.sizes(weight.rows, weight.columns).to(now.device))
        rank = torch.cat(ranks)
        order = rank.argsort(stable=True)[: int((rank < math.inf).sum())]
        gone = torch.zeros_like(rank, dtype=torch.bool)
        gone[order[torch.cat(sizes)[order].cumsum(0) <= count]] = True
        parts = torch.split(gone, [len(living) for living in alive])
        for piece, weight, living, part in zip(pieces, weights, alive, parts, strict=True):
            if bool(part.any()):
                keep = living & ~part
                self._masks.replace({weight.name: piece.expand(keep, weight.rows, weight.columns)})
                if self._granularity.removes_outputs and weight.bias is not None:
                    self._masks.replace({weight.bias_name: keep})
        self._masks.apply_to_weights()

    def state_dict(self) -> dict[str, Any]:
        """Returns when the round began, and the weights then."""
        return {"step": self.step, "before": dict(self.before)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self.step, self.before = state["step"], dict(state["before"])
