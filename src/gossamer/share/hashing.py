"""Hashed weights: a hash says which of a few numbers each weight of a layer is, and nothing else is kept.

Chen, Wilson, Tyree, Weinberger & Chen, "Compressing neural networks with the hashing trick", ICML 2015. The numbers
are trained from the beginning, as in the paper, each at first the mean of the weights it stands for, signs taken off,
scaled to the size that the layer's weights had.
`at` above 0 trains a dense network before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gossamer.compression.registry import register
from gossamer.nn.sharing import Hashed
from gossamer.settings import bounded
from gossamer.share.sharing import Sharing


@dataclass(frozen=True, kw_only=True)
class HashedSharing(Sharing):
    """Gives a layer of n weights K = (1 - sparsity) n numbers."""

    name = "hashed"
    knob = "sparsity"
    sparsity: float = bounded(0.75, ge=0.0, lt=1.0)  # 1 - numbers / weights, of each layer
    at: float = bounded(0.0, ge=0.0, le=1.0)  # fraction of the training before weights are tied

    def form(self, shape: tuple[int, ...], seed: int) -> Hashed | None:
        """Returns the form; none where there would be as many numbers as weights."""
        weights = math.prod(shape)
        count = max(1, math.floor((1.0 - self.sparsity) * weights + 1e-9))
        return Hashed(count=count, seed=seed) if count < weights else None


HASHED = register(
    "hashed",
    HashedSharing(),
    summary="Let a hash of its place say which of a few numbers each weight is, and train those.",
    paper="cnn-compression-survey",
)
