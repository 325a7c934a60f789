"""Chooses places in a matrix without listing all of them: at random, or the best of what comes in strips."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gossamer.errors import DataError

_DRAWS = 200  # rounds after which what is left must be listed


def distinct(
    total: int, count: int, generator: torch.Generator, allowed: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Returns `count` different numbers in [0, `total`), in random order, each set of them as likely as another.

    Memory follows `count`, unless most of what is allowed is wanted.

    Args:
        total: How many numbers there are.
        count: How many to draw.
        generator: On the CPU; the source of chance.
        allowed: Says of numbers (n,) int64 which may be drawn, (n,) bool; None allows all.

    Raises:
        DataError: Fewer than `count` are allowed.
    """
    found = torch.empty(0, dtype=torch.int64)
    for _ in range(_DRAWS if 2 * count <= total else 0):
        if len(found) >= count:
            return found[torch.randperm(len(found), generator=generator)[:count]]
        drawn = torch.randint(total, (count - len(found) + 16,), generator=generator)
        if allowed is not None:
            drawn = drawn[allowed(drawn)]
        found = torch.unique(torch.cat([found, drawn]))
    everything = torch.arange(total)
    if allowed is not None:
        everything = everything[allowed(everything)]
    if len(everything) < count:
        raise DataError(f"{count} places asked for, but only {len(everything)} of {total} are free; ask for fewer")
    return everything[torch.randperm(len(everything), generator=generator)[:count]]


def best(scores: Tensor, count: int) -> Tensor:
    """Returns where the `count` highest of (n,) scores are, ascending, (count,) int64; of equals the first.

    >>> best(torch.tensor([1.0, 3.0, 1.0]), 2)
    tensor([0, 1])
    """
    if count >= scores.shape[0]:
        return torch.arange(scores.shape[0], device=scores.device)
    if count <= 0:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    threshold = scores.kthvalue(scores.shape[0] - count + 1).values
    keep = scores > threshold
    ties = (scores == threshold).nonzero().flatten()
    keep[ties[: count - int(keep.sum())]] = True
    return keep.nonzero().flatten()
