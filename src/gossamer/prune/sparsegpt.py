"""SparseGPT: removes weights so that each layer's output changes least, the others making up for them.

Frantar & Alistarh, "SparseGPT: massive language models can be accurately pruned in one-shot", ICML 2023. With
H = x·xᵀ over the batches, a weight is worth w² / U², U being the diagonal of the Cholesky factor of H⁻¹, and the
columns are gone through from left to right: what a column loses is made up for by those to its right, with one H⁻¹ for
all outputs. Ours: weights are chosen for the whole layer before the sweep (the paper chooses for 128 columns at a time,
on weights that have made up for others already; `passes` above 1 comes near to that), and the rest of the training
retrains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.inputs import input_products
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class LayerOutput(Score):
    """w² / U²: how far a layer's output moves when w goes and the weights to its right make up for it."""

    name = "layer-output"
    local = False
    damping: float = bounded(0.01, gt=0.0)  # added to H's diagonal, in means of it
    block: int = bounded(128, ge=1)  # columns after which those further right are brought up to date

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns U, upper triangular with UᵀU = H⁻¹, (G, C, C) float64, G being a convolution's groups."""
        found = input_products(model, task, weights, batches=batches, diagonal=False)
        return {name: self._factor(products) for name, products in found.items()}

    def cost(self, batches: int) -> float:
        """Returns that of forward passes."""
        return 1.0 * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns w² / U², float64."""
        del generator
        assert observed is not None
        rows = weight.detach().double().view(len(observed), -1, observed.shape[-1])  # (G, R/G, C)
        return (rows / observed.diagonal(dim1=1, dim2=2)[:, None]).square().view_as(weight)

    def repair(self, weight: Tensor, keep: Tensor, observed: Tensor | None) -> Tensor:
        """Returns the weight after the sweep over its columns, removed weights zero."""
        assert observed is not None
        groups, columns = len(observed), observed.shape[-1]
        rows = weight.double().view(groups, -1, columns).clone()
        stay = keep.view_as(rows)
        for first in range(0, columns, self.block):
            last = min(first + self.block, columns)
            errors = torch.zeros_like(rows[:, :, first:last])
            for column in range(first, last):
                error = torch.where(stay[:, :, column], 0.0, rows[:, :, column]) / observed[:, None, column, column]
                rows[:, :, column:last] -= error[:, :, None] * observed[:, None, column, column:last]
                errors[:, :, column - first] = error
            rows[:, :, last:] -= errors @ observed[:, first:last, last:]
        return torch.where(keep, rows.view_as(weight), 0.0).to(weight.dtype)

    def _factor(self, products: Tensor) -> Tensor:
        """Returns U from H; inputs that are always zero count as if they were small and alone."""
        mean = products.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
        damped = products + self.damping * mean[:, None, None] * torch.eye(products.shape[-1]).to(products)
        factor: Tensor = torch.linalg.cholesky(torch.linalg.inv(damped), upper=True)
        return factor


SPARSEGPT = register(
    "sparsegpt",
    HardMasks(score=LayerOutput()),
    summary="Train, remove weights so that each layer's output changes least, the others making up for them, retrain.",
    paper="sparsity-survey",
)
