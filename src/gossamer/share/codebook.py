"""Few numbers a layer, by k-means: every weight becomes one of 2^bits, and the numbers are trained.

Han, Mao & Dally, "Deep Compression", ICLR 2016, §3 and §4. K-means begins with numbers evenly between the smallest
weight and the largest, which weight has which number is fixed from then on, and a number moves by the sum of the
gradients of its weights. Weights that are pruned stay zero and count for nothing, so `["magnitude", "codebook"]` is the
paper's pipeline. The layers stay plain ones: a file has a table of the numbers and a code of packed or Huffman coded
bits for each weight, which is what bytes count. Ours: `sparsity` turns the bits, as the fraction of 32 bits that goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gossamer.compression.registry import register
from gossamer.nn.sharing import Codebook
from gossamer.settings import bounded
from gossamer.share.sharing import Sharing

_BITS = 32  # of a plain weight


@dataclass(frozen=True, kw_only=True)
class CodebookSharing(Sharing):
    """Ties weights to 2^⌊32 (1 - sparsity)⌋ numbers a layer, at least 2 and at most 256."""

    name = "codebook"
    knob = "sparsity"
    sparsity: float = bounded(0.875, ge=0.0, lt=1.0)  # fraction of a weight's 32 bits that its code does without

    def form(self, shape: tuple[int, ...], seed: int) -> Codebook | None:
        """Returns the codebook; none where it would be as large as the weight."""
        del seed
        form = Codebook(bits=bits_left(self.sparsity))
        return form if 2**form.bits < math.prod(shape) else None


def bits_left(sparsity: float) -> int:
    """Returns how many bits a code has when a fraction of a weight's 32 goes, 1 to 8.

    >>> [bits_left(sparsity) for sparsity in (0.0, 0.75, 0.9, 0.99)]
    [8, 8, 3, 1]
    """
    return min(8, max(1, math.floor(_BITS * (1.0 - sparsity) + 1e-9)))


CODEBOOK = register(
    "codebook",
    CodebookSharing(),
    summary="Train, round the weights of each layer to a few numbers by k-means, train the numbers.",
    paper="cnn-compression-survey",
)
