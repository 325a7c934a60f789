"""Weights made of circulant blocks, multiplied by fast Fourier transforms.

A circulant matrix R with first column r multiplies as y = R D x = ifft(fft(r) ∘ fft(D x)), where D is a diagonal of
signs: n numbers in place of n², and O(n log n) arithmetic. Cheng, Yu, Feris, Kumar, Choudhary & Chang, "An exploration
of parameter redundancy in deep networks with circulant projections", ICCV 2015; in blocks for layers of any shape, Ding
et al., "CirCNN", MICRO 2017. A weight whose sizes are no multiple of the block is the corner of one that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.nn.sharing.form import Form, Shape, SharedWeights
from gossamer.nn.sharing.hashed import mixed
from gossamer.nn.sharing.tie import Tie
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Circulant(Form):
    """Blocks of `block` × `block`, in each of which all diagonals that wrap around are one number."""

    name = "circulant"
    block: int = bounded(8, ge=1)
    flip: bool = False  # whether inputs are multiplied by random signs first
    seed: int = bounded(0, ge=0)  # of the signs

    def suits(self, shape: Shape) -> bool:
        """Linear layers only."""
        return len(shape) == 2

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie; there are no codes."""
        del codes
        high, wide = self.blocks(shape)
        row, column = torch.arange(shape[0])[:, None], torch.arange(shape[1])
        place = row // self.block * wide + column // self.block
        group = place * self.block + (row - column) % self.block
        sign = self.signs(shape[1])
        return Tie(group, high * wide * self.block, None if sign is None else sign.expand(shape))

    def blocks(self, shape: Shape) -> tuple[int, int]:
        """Returns how many blocks there are down and across."""
        return -(-shape[0] // self.block), -(-shape[1] // self.block)

    def signs(self, inputs: int) -> Tensor | None:
        """Returns the diagonal of D, (inputs,) float; None where it is left out."""
        if not self.flip:
            return None
        negative = torch.from_numpy((mixed(inputs, self.seed) >> np.uint64(63)).astype(np.bool_))
        return torch.where(negative, -1.0, 1.0)

    def weights(self, shape: Shape) -> CirculantWeights:
        """Returns weights of this shape, all zero."""
        return CirculantWeights(self, shape)


class CirculantWeights(SharedWeights):
    """Circulant blocks that are multiplied without being written out."""

    form: Circulant

    def remember(self) -> None:
        """Keeps the signs; which weight is which is not needed to multiply."""
        self.sign = self.form.signs(self.shape[1])

    def dense(self) -> Tensor:
        """Returns the weight, made anew; differentiable."""
        return self.tie().spread(self.values)

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Returns x · weightᵀ + bias for x (..., inputs)."""
        block, (high, wide) = self.form.block, self.form.blocks(self.shape)
        signed = x if self.sign is None else x * self.sign
        pieces = F.pad(signed, (0, wide * block - self.shape[1]))
        inputs = torch.fft.rfft(pieces.reshape(-1, wide, block)).permute(2, 0, 1)  # (frequencies, rows, across)
        blocks = torch.fft.rfft(self.values.reshape(high, wide, block)).permute(2, 1, 0)
        product = (inputs @ blocks).permute(1, 2, 0)
        rows: Tensor = torch.fft.irfft(product, n=block)
        out = rows.reshape(*x.shape[:-1], high * block)[..., : self.shape[0]]
        return out if bias is None else out + bias
