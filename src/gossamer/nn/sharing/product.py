"""Rows of a weight put together from pieces that a few patterns stand for: product quantisation.

Columns are cut into stretches of `length`; for each stretch, k-means finds `count` patterns among the pieces of all
rows. A row is then one code a stretch. Jégou, Douze & Schmid, "Product quantization for nearest neighbor search", PAMI
2011; for weights, Gong, Liu, Yang & Bourdev, "Compressing deep convolutional networks using vector quantization", 2014,
§3.3. K-means begins with pieces drawn at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.nn.sharing.form import Form, Shape
from gossamer.nn.sharing.tie import Tie
from gossamer.settings import bounded

_ROUNDS = 30  # of Lloyd's steps


@dataclass(frozen=True, kw_only=True)
class Product(Form):
    """`count` patterns of `length` weights for each stretch of columns."""

    name = "product"
    length: int = bounded(4, ge=1)  # weights of a piece
    count: int = bounded(16, ge=1, le=256)  # patterns of a stretch

    def code_shape(self, shape: Shape) -> Shape:
        """One code a row and stretch."""
        return shape[0], -(-math.prod(shape[1:]) // self.length)

    def codes(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the pattern nearest to each piece, (outputs, stretches) uint8."""
        rows, stretches = self.code_shape(tuple(weight.shape))
        matrix = weight.detach().reshape(rows, -1).double()
        padded = F.pad(matrix, (0, stretches * self.length - matrix.shape[1]))
        pieces = padded.reshape(rows, stretches, self.length).transpose(0, 1)  # stretches first
        return _clusters(pieces, self.count, generator).T.contiguous().to(torch.uint8)

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie: equal places of pieces with the same pattern."""
        assert codes is not None
        columns = math.prod(shape[1:])
        stretches = codes.shape[1]
        pattern = torch.arange(stretches, device=codes.device) * self.count + codes.long()
        group = pattern[:, :, None] * self.length + torch.arange(self.length, device=codes.device)
        group = group.reshape(shape[0], -1)[:, :columns].reshape(shape)
        return Tie(group, stretches * self.count * self.length)


def _clusters(pieces: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Returns the cluster of each of the pieces (stretches, rows, length) by k-means, (stretches, rows)."""
    stretches, rows, length = pieces.shape
    drawn = torch.randperm(rows, generator=generator)[torch.arange(count) % rows].to(pieces.device)
    centres = pieces[:, drawn]
    member = torch.zeros(stretches, rows, dtype=torch.int64, device=pieces.device)
    for _ in range(_ROUNDS):
        member = torch.cdist(pieces, centres).argmin(2)
        place = (member + count * torch.arange(stretches, device=pieces.device)[:, None]).reshape(-1)
        sizes = torch.bincount(place, minlength=stretches * count)
        sums = torch.zeros(stretches * count, length, dtype=pieces.dtype, device=pieces.device)
        sums.index_add_(0, place, pieces.reshape(-1, length))
        means = (sums / sizes.clamp(min=1)[:, None]).reshape(stretches, count, length)
        centres = torch.where((sizes > 0).reshape(stretches, count, 1), means, centres)
    return member
