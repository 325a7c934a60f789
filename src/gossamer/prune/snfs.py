"""SNFS: sparse from the start; drops the smallest weights, grows where gradients have agreed for a while.

Dettmers & Zettlemoyer, "Sparse networks from scratch: faster training without losing performance", 2019. The momentum
of removed weights asks for the dense gradient at every step, so training costs more than the sparse network does. Ours:
every layer keeps its number of weights, where the paper shifts some to the layers with the largest momentum.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.drop_and_grow import DropAndGrow
from gossamer.prune.growth import ByMomentum
from gossamer.prune.scores import Magnitude

SNFS = register(
    "snfs",
    DropAndGrow(drop=Magnitude(), grow=ByMomentum()),
    summary="Sparse from the start: drop the smallest weights, grow where the momentum is largest.",
    paper="sparsity-survey",
)
