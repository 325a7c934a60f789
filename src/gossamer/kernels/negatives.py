"""Draws numbers that are not taken, natively: pairs of nodes that no edge joins.

A plain function, as the samplers are, with a reference in numpy that draws exactly the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.random import Streams


@dataclass(frozen=True, eq=False)
class FreeNumbers:
    """The numbers from 0 that are not taken, in ascending order, and a table that shortens the way to each."""

    free_below: Tensor  # (T,) int64 ascending: of each taken number, how many free ones are below it
    guide: Tensor  # (parts + 1,) int64: how many of these are below part << shift
    shift: int

    @classmethod
    def below(cls, taken: Tensor, bound: int) -> Self:
        """Returns the free numbers below `bound`, about as many parts as numbers that are taken.

        Args:
            taken: (T,) int64, ascending and distinct.
            bound: Above all of these.
        """
        free_below = taken - torch.arange(len(taken))
        free = bound - len(taken)
        shift = max(free.bit_length() - len(taken).bit_length(), 0)
        ends = torch.arange((free >> shift) + 2) << shift
        return cls(free_below, torch.searchsorted(free_below, ends), shift)


def draw_free(free: FreeNumbers, columns: int, first: Tensor | None, bound: Tensor, key: int) -> Tensor:
    """Draws free numbers, each the one of rank first + r among them, all r below its bound equally likely.

    Args:
        free: The numbers.
        columns: Number n stands for the pair (n // columns, n % columns).
        first: (n,) int64, ranks; None for zeros.
        bound: (n,) int64, at least 1; first + bound is at most how many are free.
        key: Of the random numbers.

    Returns:
        Pairs, (2, n) int64.
    """
    module = native.kernels()
    if module is None:
        return draw_free_reference(free, columns, first, bound, key)
    pairs = torch.empty(2, len(bound), dtype=torch.int64)
    module.draw_free(
        columns,
        free.free_below.data_ptr(),
        free.guide.data_ptr(),
        free.shift,
        len(bound),
        native.address(first),
        bound.data_ptr(),
        key,
        pairs.data_ptr(),
        torch.get_num_threads(),
    )
    return pairs


def draw_free_reference(free: FreeNumbers, columns: int, first: Tensor | None, bound: Tensor, key: int) -> Tensor:
    """The numpy reference of `draw_free`, number for number."""
    which = np.arange(len(bound))
    rank = torch.from_numpy(Streams(key, which).below(which, bound.numpy()))
    rank = rank if first is None else first + rank
    number = rank + torch.searchsorted(free.free_below, rank, right=True)
    return torch.stack([number // columns, number % columns])
