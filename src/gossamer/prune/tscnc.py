"""TSCNC: train a robust network with sparse and well-conditioned weights, then prune it by learned scores.

Feng, Lin, Gao & Wei, "Lipschitz constant meets condition number: learning robust and compact deep neural networks",
2025 (arXiv 2503.20454), and the authors' code: pruning makes matrices ill-conditioned, which amplifies perturbations,
so the training before it holds the singular values of each together (`Conditioning`) while it makes weights few
(`TransformedL1`, with gates on the outputs of layers); then come `hydra`'s scores and fine-tuning. Hand it
`tasks.Robust(images)` for the adversarial training of the paper. The code's condition is `Conditioning(scale="size",
on="last")`. Ours: all layers are held to a condition that does not depend on their scale; of linear layers too, those
between the first and the last have gates; the condition goes on counting after pruning.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.constrained import Constrained

TSCNC = register(
    "tscnc",
    Constrained(),
    summary="Train towards few, well-conditioned weights, learn which of them to keep, retrain those.",
    paper="tscnc",
)
