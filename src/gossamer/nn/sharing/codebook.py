"""The weights of a layer rounded to k numbers that one-dimensional k-means finds.

Han, Mao & Dally, "Deep Compression", ICLR 2016, §3: k = 2^bits, the numbers begin evenly between the smallest and the
largest weight. Weights that are zero stay zero and have no part in it. Lloyd's steps go on until no weight changes its
cluster.
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

_ROUNDS = 300  # of Lloyd's steps at most


@dataclass(frozen=True, kw_only=True)
class Codebook(Form):
    """`2 ** bits` numbers, each weight the nearest; the codes are numbers + 1, and 0 for zero.

    Layers in this form stay plain ones: a file stores few different numbers as a table and codes.
    """

    name = "codebook"
    stored: ClassVar[bool] = False
    bits: int = bounded(4, ge=1, le=8)  # of a code

    def suits(self, shape: Shape) -> bool:
        """Any weight can have it."""
        return math.prod(shape) > 0

    def codes(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the clusters of k-means, int16 in the shape of the weight; without chance."""
        del generator
        codes = torch.zeros(weight.shape, dtype=torch.int16, device=weight.device)
        kept = weight.detach() != 0
        if bool(kept.any()):
            codes[kept] = clusters(weight.detach()[kept], 2**self.bits).to(torch.int16) + 1
        return codes

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie of all weights with the same code."""
        assert codes is not None
        groups = 2**self.bits
        return Tie(torch.where(codes == 0, groups, codes.long() - 1).reshape(shape), groups)


def clusters(values: Tensor, count: int) -> Tensor:
    """Returns the cluster of each of the values (n,), int64 in [0, count), by k-means from evenly spaced centres.

    A cluster that loses all its members keeps its centre. Clusters are in the order of their centres.
    """
    values = values.double()
    centres = torch.linspace(float(values.min()), float(values.max()), count, dtype=torch.float64, device=values.device)
    member = torch.full(values.shape, -1, dtype=torch.int64, device=values.device)
    for _ in range(_ROUNDS):
        nearest = torch.bucketize(values, (centres[1:] + centres[:-1]) / 2)
        if torch.equal(nearest, member):
            break
        member = nearest
        sizes = torch.bincount(member, minlength=count)
        means = torch.bincount(member, values, count) / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
    return member
