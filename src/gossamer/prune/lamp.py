"""LAMP: magnitude, by the share a weight has among those of its layer that are no smaller.

Lee, Park, Mo, Ahn & Shin, "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021: w² over the sum of the
squares of all weights of the layer that would outlast it. The largest of a layer is worth 1, so one ranking of the
whole network empties none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.prune.allocation import Global
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.scores import Score


@dataclass(frozen=True, kw_only=True)
class Lamp(Score):
    """w² / Σ of v² over the weights v of the layer that come no earlier in order of size."""

    name = "lamp"

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns shares in [0, 1], float64; weights of a layer of zeros are worth 0."""
        del observed, generator
        squares = weight.detach().double().square().flatten()
        order = squares.argsort(stable=True)
        ascending = squares[order]
        outlasting = ascending.flip(0).cumsum(0).flip(0)
        share = torch.where(outlasting > 0, ascending / outlasting, 0.0)
        return torch.empty_like(share).scatter_(0, order, share).view_as(weight)


LAMP = register(
    "lamp",
    HardMasks(score=Lamp(), allocation=Global()),
    summary="Train, remove the weights with the smallest share among the larger ones of their layer, retrain.",
    paper="sparsity-survey",
)
