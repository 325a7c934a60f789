"""Weights whose number is found by a hash of their place, so that nothing has to be kept of which is which.

    W[i, j] = ξ(i, j) · w[h(i, j) mod K]          ξ = ±1

Chen, Wilson, Tyree, Weinberger & Chen, "Compressing neural networks with the hashing trick", ICML 2015, equations 2 and
7. The hash is the finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), where the paper takes xxHash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossamer.nn.sharing.form import Form, Shape
from gossamer.nn.sharing.tie import Tie
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Hashed(Form):
    """`count` numbers, each at places that a hash with `seed` gives it."""

    name = "hashed"
    count: int = bounded(1, ge=1)  # K, how many numbers the layer has
    seed: int = bounded(0, ge=0)  # layers with different seeds share in different ways

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie; there are no codes."""
        del codes
        hashes = mixed(math.prod(shape), self.seed)
        group = torch.from_numpy((hashes % np.uint64(self.count)).astype(np.int64)).reshape(shape)
        negative = torch.from_numpy((hashes >> np.uint64(63)).astype(np.bool_)).reshape(shape)
        return Tie(group, self.count, torch.where(negative, -1.0, 1.0))


def mixed(count: int, seed: int) -> NDArray[np.uint64]:
    """Returns the hashes of the places 0 to `count` - 1, (count,)."""
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + mix(np.uint64(seed))
        return np.asarray(mix(z), np.uint64)


def mix(z: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64] | np.uint64:
    """Returns SplitMix64's finaliser of words of 64 bits."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
