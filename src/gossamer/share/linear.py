"""Linear quantisation of weights to 8 bits and fewer, one of them included, with one step a layer.

Weights are rounded once, to whole multiples of a step, and from then on the steps and the biases are trained; inputs
stay floats. With one bit, weights are ± the mean |W|: Rastegari, Ordonez, Redmon & Farhadi, "XNOR-Net", ECCV 2016,
section 3.1. An optimiser that scales each gradient, as Adam does, moves a step by the mean of what it would do to the
weights. Ours: `sparsity` turns the bits, as the fraction of 32 bits that goes; files code the weights in so many bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gossamer.compression.registry import register
from gossamer.nn.sharing import Linear
from gossamer.settings import bounded
from gossamer.share.codebook import bits_left
from gossamer.share.sharing import Sharing


@dataclass(frozen=True, kw_only=True)
class LinearQuantization(Sharing):
    """Ties weights to multiples of a step that ⌊32 (1 - sparsity)⌋ bits can tell apart, 1 to 8."""

    name = "linear-quantization"
    knob = "sparsity"
    sparsity: float = bounded(0.75, ge=0.0, lt=1.0)  # fraction of a weight's 32 bits that its code does without

    def form(self, shape: tuple[int, ...], seed: int) -> Linear | None:
        """Returns the form; none where there are no more weights than multiples."""
        del seed
        form = Linear(bits=bits_left(self.sparsity))
        return form if 2**form.bits < math.prod(shape) else None


LINEAR_QUANTIZATION = register(
    "linear-quantization",
    LinearQuantization(),
    summary="Train, round the weights of each layer to multiples of a step, train the steps.",
    paper="cnn-compression-survey",
)
