"""Whether two networks compute the same, and which of two timings is the faster one beyond chance."""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.timing import Timing

_NETWORK_ROUNDING = 1e-4  # relative difference that a network's output may show


def same_outputs(got: list[Tensor], wanted: list[Tensor]) -> bool:
    """Says whether two outputs of a network agree up to the rounding that its layers pass on."""
    if not wanted or len(got) != len(wanted):
        return False
    for mine, its in zip(got, wanted, strict=True):
        if mine.shape != its.shape or mine.dtype != its.dtype:
            return False
        if not its.is_floating_point():
            if not torch.equal(mine, its):
                return False
            continue
        scale = float(its.nan_to_num(0.0, 0.0, 0.0).abs().max()) if its.numel() else 0.0
        if not torch.allclose(mine, its, rtol=_NETWORK_ROUNDING, atol=_NETWORK_ROUNDING * scale, equal_nan=True):
            return False
    return True


def faster(new: Timing, old: Timing, gain: float) -> bool:
    """Says whether `new` is `gain` times as fast, and that this is no chance.

    Its k quickest calls, a quarter of n and at least five, must all beat the quickest of `old`. If there were no
    difference, the k smallest of 2 n times would all be on one given side once in about 2^k trials.
    """
    return new.quick_ms * gain <= min(old.times_ms)


def ratio(gain: float) -> str:
    """Returns a gain in words: 1.50x faster."""
    return f"{gain:.2f}x faster" if gain >= 1 else f"{1 / gain:.2f}x slower"
