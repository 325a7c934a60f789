"""Product quantisation: rows of a layer are put together from a few patterns a stretch of columns.

Gong, Liu, Yang & Bourdev, "Compressing deep convolutional networks using vector quantization", 2014, §3.3; the patterns
are trained afterwards as in `codebook`. Ours: `sparsity` turns the number of patterns, the largest power of two with
which patterns and codes take no more than what is left of 32 bits a weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gossamer.compression.registry import register
from gossamer.nn.sharing import Product
from gossamer.settings import bounded
from gossamer.share.sharing import Sharing

_BITS = 32  # of a plain weight


@dataclass(frozen=True, kw_only=True)
class ProductSharing(Sharing):
    """Gives each stretch of `length` columns 2 to 256 patterns, as many as `sparsity` leaves room for."""

    name = "product-quantization"
    knob = "sparsity"
    sparsity: float = bounded(0.75, ge=0.0, lt=1.0)  # fraction of the bits of a layer's weights that goes
    length: int = bounded(4, ge=1)  # weights of a piece

    def form(self, shape: tuple[int, ...], seed: int) -> Product | None:
        """Returns the form; none where even two patterns are larger than the weight."""
        del seed
        weights = math.prod(shape)
        sizes = {
            2**power: size(shape, self.length, 2**power) for power in range(1, 9) if 2**power <= max(shape[0] // 2, 1)
        }
        fitting = [count for count, taken in sizes.items() if taken <= (1.0 - self.sparsity) * _BITS * weights]
        smallest = min(sizes, default=None)
        count = max(fitting, default=smallest)
        if count is None or sizes[count] >= _BITS * weights:
            return None
        return Product(length=self.length, count=count)


def size(shape: tuple[int, ...], length: int, count: int) -> int:
    """Returns the bits that patterns and codes take.

    >>> size((128, 64), 4, 16) == 16 * 16 * 4 * 32 + 128 * 16 * 4
    True
    """
    stretches = -(-math.prod(shape[1:]) // length)
    return stretches * (count * length * _BITS + shape[0] * (count - 1).bit_length())


PRODUCT = register(
    "product-quantization",
    ProductSharing(),
    summary="Train, put the rows of each layer together from a few patterns a stretch, train the patterns.",
    paper="cnn-compression-survey",
)
