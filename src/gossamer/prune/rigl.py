"""RigL: sparse from the start; drops the smallest weights, grows where the gradient is largest.

Evci, Gale, Menick, Castro & Elsen, "Rigging the lottery: making all tickets winners", ICML 2020, algorithm 1;
as used for graph networks by Peng et al., "Towards sparsification of graph neural networks", ICCD 2022. The
dense gradient is needed at updates only. Defaults are those of the latter: ζ from 0.5 to 0.005 over the whole
training, densities by Erdős–Rényi; the former stops at 75 %, which is `until=0.75`.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.drop_and_grow import DropAndGrow
from gossamer.prune.growth import ByGradient
from gossamer.prune.scores import Magnitude

RIGL = register(
    "rigl",
    DropAndGrow(drop=Magnitude(), grow=ByGradient()),
    summary="Sparse from the start: drop the smallest weights, grow where the gradient is largest.",
    paper="gnn-sparsification",
)
