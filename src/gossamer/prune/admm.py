"""ADMM pruning: the network is trained towards its pruned copy, with multipliers that move unconditionally.

Zhang et al., "A systematic DNN weight pruning framework using alternating direction method of multipliers", ECCV
2018: the baseline of surrogate Lagrangian relaxation, which differs in the rule alone. Ours: the learning rate
is the training's; the authors raise it again after each projection.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.multipliers import Alternating
from gossamer.prune.splitting import Splitting

ADMM = register(
    "admm",
    Splitting(multipliers=Alternating()),
    summary="Train towards a pruned copy by ADMM, cut, retrain.",
)
