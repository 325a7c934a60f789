"""Weights of 1, 2 or 4 bits that meet inputs of signed bytes: the products of both worlds.

The weights are those of `FewBitsWeights` with equal steps, a scale and perhaps an offset for each group of inputs, as
in group-wise quantisation (Frantar et al., "GPTQ", ICLR 2023); the inputs are those of `Int8Weights`. Weights are read
at their few bits and multiplied as bytes, so that many examples at once are as fast as with weights of bytes.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.kernels.low_bits import FewBits, few_bits_int8_linear, pack_few_bits, unpack_few_bits
from gossamer.nn.coded import CodedWeights, by_tap, check_codes, from_taps
from gossamer.nn.quantized import byte_images, byte_rows, check_input_scale, rounded

_WORD = 4  # bytes; each pixel of a patch begins with a new word


class FewBitsInt8Weights(CodedWeights):
    """Codes of 1, 2 or 4 bits in equal steps, with scales for groups of inputs; inputs are rounded to bytes.

    A weight is scale · (code - zero) + offset, those of its output and group.

    Args:
        codes: (outputs, inputs) or (outputs, inputs, kh, kw) uint8.
        scales: (outputs, groups) float32; the groups run over kh, kw and inputs, in this order. Each pixel's inputs are
            filled up to a multiple of 4 for it, where there is more than one pixel.
        bits: 1, 2 or 4.
        zero: The code that stands for zero, in [0, 2^bits).
        offsets: Like `scales`, added to each weight of a group; None: 0.
        input_scale: What a step of 1 in the input stands for, above 0; larger inputs are cut off. None: the largest
            magnitude of each example or image becomes 127.
    """

    panels: Tensor
    scales: Tensor
    offsets: Tensor | None
    levels: Tensor

    def __init__(
        self,
        codes: Tensor,
        scales: Tensor,
        *,
        bits: int,
        zero: int = 0,
        offsets: Tensor | None = None,
        input_scale: float | None = None,
    ) -> None:
        super().__init__()
        if bits not in (1, 2, 4) or not 0 <= zero < 2**bits:
            raise ModelError(f"expected 1, 2 or 4 bits and a zero among their codes, found {bits} and {zero}")
        check_codes(codes, torch.uint8, 0, 2**bits - 1)
        check_input_scale(input_scale)
        self.shape = tuple(codes.shape)
        self.zero, self.input_scale = zero, input_scale
        levels = torch.arange(2**bits, device=codes.device).to(torch.float32) - zero
        packed = pack_few_bits(_filled(by_tap(codes)), scales, levels, offsets=offsets)
        self.group, self.columns = packed.group, packed.columns
        self.register_buffer("panels", packed.panels)
        self.register_buffer("scales", packed.scales)
        self.register_buffer("offsets", packed.offsets)
        self.register_buffer("levels", levels)

    @classmethod
    def from_dense(cls, weight: Tensor, *, bits: int = 4, groups: int = 1, input_scale: float | None = None) -> Self:
        """Rounds a float weight to equal steps between the smallest and the largest number of each group.

        Args:
            weight: (outputs, inputs) or (outputs, inputs, kh, kw).
            bits: 1, 2 or 4.
            groups: How many groups the inputs of an output make, each a multiple of 32, but for the last.
            input_scale: As above.
        """
        taps = by_tap(weight.detach().to(torch.float32))
        codes, step, low = rounded(_filled(taps, like_last=True), bits, groups)
        kept = codes.reshape(*taps.shape[:2], -1)[..., : taps.shape[2]]
        shaped = from_taps(kept, tuple(weight.shape))
        return cls(shaped, step, bits=bits, offsets=low, input_scale=input_scale)

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns x as bytes, and the scale of each row."""
        return byte_rows(x, self.input_scale)

    def quantize_images(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns images as bytes, and the scale of each image at each of its pixels."""
        return byte_images(x, self.input_scale)

    def multiply(self, rows: Tensor, x_scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Returns the scaled products with rows of bytes."""
        return few_bits_int8_linear(rows, self._packed(), zero=self.zero, x_scale=x_scale, bias=bias)

    def dense(self) -> Tensor:
        """Returns scale · (codes - zero) + offsets."""
        taps = math.prod(self.shape[2:])
        rows = unpack_few_bits(self._packed())
        return from_taps(
            rows.reshape(self.shape[0], taps, self.columns // max(taps, 1))[..., : self.shape[1]], self.shape
        )

    def _packed(self) -> FewBits:
        return FewBits(self.panels, self.scales, self.offsets, self.levels, self.shape[0], self.columns, self.group)


def _filled(taps: Tensor, *, like_last: bool = False) -> Tensor:
    """Returns (outputs, taps · inputs) of (outputs, taps, inputs), with inputs filled up to whole words between taps.

    What is filled in meets zeros. It is zero too, or like the last number of its tap, which changes no group's range.
    """
    surplus = -taps.shape[2] % _WORD if taps.shape[1] > 1 else 0
    if surplus == 0:
        return taps.flatten(1)
    more = taps[..., -1:].expand(-1, -1, surplus) if like_last else None
    return (F.pad(taps, (0, surplus)) if more is None else torch.cat([taps, more], 2)).flatten(1)
