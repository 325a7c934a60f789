"""Keeps exactly as many weights as asked for, whatever ties there are.

Pruning by a percentile and a strict inequality keeps too few or too many weights when scores tie, and scores
do tie: zeros, ranks, equal initial values. Here the number to keep is an integer from the start, ties go to
the lower index, and two runs agree bit for bit. Groups of weights are taken whole, best first, while they fit
in the budget, so a budget is never exceeded; what is left over is less than one group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.errors import TrainingError

GONE = -math.inf  # the score of a group that is pruned already and stays so


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of one weight among which a choice is made.

    Attributes:
        name: Name of the weight in the model.
        shape: The weight's own shape, output dimension first.
        score: One score a group, (G,); higher = keep, `GONE` = not available.
        sizes: Number of weights in each group, (G,) int64.
    """

    name: str
    shape: tuple[int, ...]
    score: Tensor
    sizes: Tensor

    @property
    def weights(self) -> int:
        """Number of weights in all groups."""
        return math.prod(self.shape)

    @property
    def available(self) -> int:
        """Number of weights in the groups that may still be kept."""
        return int(self.sizes[self.score > GONE].sum())

    @property
    def quantum(self) -> int:
        """Number of weights in the largest group."""
        return int(self.sizes.max())

    @property
    def best(self) -> int:
        """Number of weights in the best group: what a layer needs in order to stay alive."""
        return int(self.sizes[self.score.argmax()])


def kept(weights: int, sparsity: float) -> int:
    """Returns how many of `weights` stay at a sparsity: (1 − sparsity) · weights, rounded up.

    >>> kept(10, 0.7), kept(11, 0.7), kept(5, 0.0)
    (3, 4, 5)
    """
    return math.ceil(round((1.0 - sparsity) * weights, 6))  # (1 - 0.7) * 10 is not 3 in floating point


def top(score: Tensor, count: int) -> Tensor:
    """Returns a mask (G,) of exactly `count` highest scores; among equal scores the lower index wins.

    Args:
        score: (G,), no NaN.
        count: In [0, G].
    """
    if count >= len(score):
        return torch.ones_like(score, dtype=torch.bool)
    if count <= 0:
        return torch.zeros_like(score, dtype=torch.bool)
    threshold = torch.kthvalue(score, len(score) - count + 1).values
    keep = score > threshold
    ties = (score == threshold).nonzero().flatten()
    keep[ties[: count - int(keep.sum())]] = True
    return keep


def select(groups: Groups, budget: int, *, least: int = 1) -> Tensor:
    """Returns a mask (G,) of the best available groups, taken in order while they fit into `budget` weights.

    Args:
        groups: What to choose from.
        budget: In weights, at least 0.
        least: Groups taken even where they do not fit: a layer without weights would cut the network in two.

    Raises:
        TrainingError: A score is not a number.
    """
    score, sizes = groups.score, groups.sizes
    if bool(score.isnan().any()):
        raise TrainingError(
            f"the scores of {groups.name} are not all numbers, so its weights or gradients are not; "
            "lower the learning rate or clip gradients"
        )
    size = int(sizes[0])
    if bool((sizes == size).all()):
        keep = top(score, max(budget // size, least))
    else:
        order = torch.argsort(score, descending=True, stable=True)
        fits = sizes[order].cumsum(0) <= budget
        fits[:least] = True
        keep = torch.zeros_like(score, dtype=torch.bool)
        keep[order[fits]] = True
    return keep & (score > GONE)
