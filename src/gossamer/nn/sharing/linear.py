"""The weights of a layer as whole multiples of one step: linear quantisation to 8 bits and fewer.

    W[i] = q[i] · Δ        q in -(2^(b-1) - 1) ... 2^(b-1) - 1, or ±1 with one bit

With b bits, q is W / Δ rounded, where Δ lets the largest weight have the largest q, and then Δ is the step that is
nearest to the weights for these q. With one bit that is the mean |W| of Rastegari, Ordonez, Redmon & Farhadi,
"XNOR-Net", ECCV 2016, equation 6, there for each filter. Weights that are zero stay zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gossamer.nn.sharing.form import Form, Shape
from gossamer.nn.sharing.tie import Tie
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Linear(Form):
    """One step a layer; the codes are q. Layers in this form stay plain ones, as those with a codebook do."""

    name = "linear"
    stored: ClassVar[bool] = False
    bits: int = bounded(8, ge=1, le=8)  # of a code

    def suits(self, shape: Shape) -> bool:
        """Any weight can have it."""
        return math.prod(shape) > 0

    def codes(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns q, int16 in the shape of the weight; without chance."""
        del generator
        weight = weight.detach()
        if self.bits == 1:
            return weight.sign().to(torch.int16)
        step = weight.abs().max() / (2 ** (self.bits - 1) - 1)
        return (weight / torch.where(step > 0, step, 1.0)).round().to(torch.int16)

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie of all weights to the step."""
        assert codes is not None
        return Tie((codes == 0).long().reshape(shape), 1, codes.float())
