"""Surrogate Lagrangian relaxation: the network moves so near to its pruned copy that the cut costs little.

Gurevin et al., "Enabling retrain-free deep neural network pruning using surrogate Lagrangian relaxation", IJCAI
2021; Zhou et al., "Surrogate Lagrangian relaxation: a path to retrain-free deep neural network pruning", 2023. The
rule and its two conditions are in `prune.multipliers`, the course of the training in `prune.splitting`. Ours:
training before and after lies inside the same number of epochs, optimiser and learning rate are the training's.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.multipliers import Surrogate
from gossamer.prune.splitting import Splitting

SLR = register(
    "slr",
    Splitting(multipliers=Surrogate()),
    summary="Train towards a pruned copy by surrogate Lagrangian relaxation, cut, retrain.",
)
