"""Linear layers of circulant blocks, multiplied by fast Fourier transforms.

Ding et al., "CirCNN: accelerating and compressing deep neural networks using block-circulant weight matrices", MICRO
2017, for linear layers. A block of k × k has k numbers, so the block size is the compression. The blocks are trained
from the beginning; `at` above 0 trains a dense network before and takes the nearest blocks, scaled to its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gossamer.compression.registry import register
from gossamer.nn.sharing import Circulant
from gossamer.settings import bounded
from gossamer.share.sharing import Sharing


@dataclass(frozen=True, kw_only=True)
class BlockCirculant(Sharing):
    """Gives linear layers circulant blocks of ⌈1 / (1 - sparsity)⌉ rows and columns, no larger than the layer."""

    name = "block-circulant"
    knob = "sparsity"
    sparsity: float = bounded(0.875, ge=0.0, lt=1.0)  # 1 - numbers / weights, of each layer, where blocks fit
    flip: bool = False  # whether inputs are multiplied by random signs first
    at: float = bounded(0.0, ge=0.0, le=1.0)  # fraction of the training before weights are tied

    def form(self, shape: tuple[int, ...], seed: int) -> Circulant | None:
        """Returns the blocks; none where they would have as many numbers as the weight."""
        wanted = math.ceil(1.0 / (1.0 - self.sparsity) - 1e-9)
        form = Circulant(block=min(wanted, max(shape)), flip=self.flip, seed=seed)
        return form if form.suits(shape) and smaller(form, shape) else None


def smaller(form: Circulant, shape: tuple[int, ...]) -> bool:
    """Says whether circulant blocks have fewer numbers than the weight that they cover."""
    high, wide = form.blocks(shape)
    return high * wide * form.block < math.prod(shape)


BLOCK_CIRCULANT = register(
    "block-circulant",
    BlockCirculant(),
    summary="Make linear layers of circulant blocks, multiplied by fast Fourier transforms.",
    paper="cnn-compression-survey",
)
