"""OBS: remove the weights that the others can make up for, and have them do so.

Hassibi & Stork, "Second order derivatives for network pruning: optimal brain surgeon", NIPS 1992, with the empirical
Fisher information of blocks of weights in place of the Hessian, as in Singh & Alistarh, "WoodFisher", NeurIPS 2020:
F = λ·I + Gᵀ·G / N, where the rows of G (N, B) are gradients of N batches in a block of B weights. A weight is worth
w² / (2·[F⁻¹]_ww). When a set of weights is gone, the others of the block move to where this quadratic model of the loss
is least: all removals at once, where the papers add up the moves that single removals would ask for. F is never made:
as N is small, products with its inverse come from systems of N equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.compression.registry import register
from gossamer.prune.allocation import Global
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.scores import Score, batch_gradients
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class BlockFisher(Score):
    """w² / (2·[F⁻¹]_ww), F the Fisher information of a block of consecutive weights."""

    name = "block-fisher"
    local = False
    block: int = bounded(1024, ge=1)  # B: weights that can make up for one another
    damping: float = bounded(0.1, gt=0.0)  # λ, in means of the diagonal of GᵀG / N over the layer

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns the gradients of the batches, (N, ...)."""
        found: dict[str, list[Tensor]] = {weight.name: [] for weight in weights}
        for gradients in batch_gradients(model, task, weights, batches=batches):
            for name, gradient in gradients.items():
                found[name].append(gradient)
        return {name: torch.stack(parts) for name, parts in found.items()}

    def cost(self, batches: int) -> float:
        """Returns that of as many training steps."""
        return 3.0 * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns w² / (2·[F⁻¹]_ww)."""
        del generator
        assert observed is not None
        gradients, damping = self._blocks(observed)
        inner = _inner(gradients, damping)
        leverage = (gradients * torch.linalg.solve(inner, gradients)).sum(1)  # (blocks, B)
        inverse = ((1.0 - leverage) / damping).clamp_min(torch.finfo(leverage.dtype).tiny)
        diagonal = inverse.flatten()[: weight.numel()].view_as(weight)
        worth: Tensor = 0.5 * weight.detach().double().square() / diagonal
        return worth

    def repair(self, weight: Tensor, keep: Tensor, observed: Tensor | None) -> Tensor:
        """Returns the weight at the minimum of ½·δᵀFδ among all changes δ that take the removed weights to zero."""
        assert observed is not None
        gradients, damping = self._blocks(observed)
        size, (blocks, _, block) = weight.numel(), gradients.shape
        gone = F.pad((weight * ~keep).flatten().double(), (0, blocks * block - size)).view(blocks, block, 1)
        kept = F.pad(keep.flatten().double(), (0, blocks * block - size)).view(blocks, 1, block)
        staying = gradients * kept
        # δ_K = −F_KK⁻¹ F_KQ δ_Q with δ_Q = −w_Q: a pull of GᵀG / N, as the damping links no two weights.
        pull = gradients @ gone  # (blocks, N, 1)
        move = staying.transpose(1, 2) @ torch.linalg.solve(_inner(staying, damping), pull)
        change = move.flatten()[:size].view_as(weight)
        return torch.where(keep, weight + change.to(weight.dtype), torch.zeros_like(weight))

    def _blocks(self, gradients: Tensor) -> tuple[Tensor, float]:
        """Returns G / √N as (blocks, N, B), zero-padded, in double precision, and λ."""
        count = gradients.shape[0]
        flat = gradients.reshape(count, -1).double() / math.sqrt(count)
        damping = max(self.damping * float(flat.square().sum(0).mean()), 1e-30)
        block = min(self.block, flat.shape[1])
        blocks = -(-flat.shape[1] // block)
        padded = F.pad(flat, (0, blocks * block - flat.shape[1]))
        return padded.view(count, blocks, block).transpose(0, 1).contiguous(), damping


def _inner(gradients: Tensor, damping: float) -> Tensor:
    """Returns λ·I + G·Gᵀ, (blocks, N, N)."""
    count = gradients.shape[1]
    return gradients @ gradients.transpose(1, 2) + damping * torch.eye(count, dtype=gradients.dtype).to(gradients)


OBS = register(
    "obs",
    HardMasks(score=BlockFisher(), allocation=Global(), batches=32),
    summary="Train, remove the weights that the others can make up for, which they do, retrain.",
    paper="sparsity-survey",
)
