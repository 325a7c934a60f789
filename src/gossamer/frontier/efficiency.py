"""How much a network makes of each of its parameters, and how much smaller and faster than the dense one it is.

After the pruned-parameter efficiency of Hoefler et al., "Sparsity in deep learning", JMLR 2021. The first is quality
per nonzero parameter, the second counts stored bits in place of parameters, so that positions have their price, and the
third how often the error has been halved from that of guessing, as late points are harder won than early ones. The last
is ours; the exact form of the survey's own is not known to us. All are for metrics of which more is better.

With a parameters or a time s of the dense network and a*, s* of the small one, Cheng et al., "A survey of model
compression and acceleration for deep neural networks", 2017, call a / a* the compression rate, (a - a*) / a* the index
space saving and s / s* the speed-up. The saving is given here as the part of the dense network that is gone, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gossamer.errors import SettingError
from gossamer.frontier.points import Point
from gossamer.frontier.statistics import Estimate

_MILLION = 1e6
_WORD = 4  # bytes of a 32-bit number


def per_nonzero(point: Point) -> Estimate | None:
    """Returns test quality per million nonzero parameters, biases included; None where those are not known."""
    return _ratio(point, "nonzeros", 1.0)


def per_stored_word(point: Point) -> Estimate | None:
    """Returns test quality per million words of 32 bits that the stored network takes; None where it is not known."""
    return _ratio(point, "bytes", 1.0 / _WORD)


def halvings_per_nonzero(point: Point, *, chance: float, examples: int) -> Estimate | None:
    """Returns how often the error was halved, starting from that of guessing, per million nonzero parameters.

    Args:
        point: Whose quality is an accuracy, a fraction.
        chance: The accuracy of guessing, in [0, 1): 0.1 for ten classes of equal size.
        examples: How many examples the accuracy is of; half an error among them is the least that is counted.

    Raises:
        SettingError: `chance` or `examples` is out of range.
    """
    if not 0.0 <= chance < 1.0 or examples < 1:
        raise SettingError(f"chance is {chance:g} of {examples} examples; expected it in [0, 1), of at least 1")
    least = 1.0 / (2 * examples)
    halvings = tuple(-math.log2(max(1.0 - value, least) / (1.0 - chance)) for value in point.test.values)
    return _ratio(point, "nonzeros", 1.0, halvings)


def compression_rate(point: Point, dense: Point, cost: str = "nonzeros") -> Estimate | None:
    """Returns how many times smaller a point is than the dense one, seed by seed; None where a size is not known.

    Args:
        point: Any.
        dense: What it is compared with.
        cost: What is compared: nonzeros, parameters, bytes, macs, or another cost.
    """
    return _against(point, dense, cost, lambda before, after: before / after)


def space_saving(point: Point, dense: Point, cost: str = "nonzeros", *, index: bool = False) -> Estimate | None:
    """Returns the part of the dense network that is gone, (a - a*) / a; None where a size is not known.

    Args:
        point: Any.
        dense: What it is compared with.
        cost: As for `compression_rate`.
        index: Whether to divide by the small network instead, as the survey's index space saving does.
    """
    return _against(point, dense, cost, lambda before, after: (before - after) / (after if index else before))


def speed_up(point: Point, dense: Point) -> Estimate | None:
    """Returns how many times as fast as the dense network a point is by measured latency; None where not known."""
    return _against(point, dense, "latency_ms", lambda before, after: before / after)


def _against(point: Point, dense: Point, cost: str, of: Callable[[float, float], float]) -> Estimate | None:
    after, before = point.costs.get(cost), dense.costs.get(cost)
    if after is None or before is None:
        return None
    sizes = dict(zip(before.seeds, before.values, strict=True))
    pairs = [
        (of(sizes[seed], value), seed)
        for value, seed in zip(after.values, after.seeds, strict=True)
        if value and sizes.get(seed)
    ]
    if not pairs:
        return None
    return Estimate(values=tuple(value for value, _ in pairs), seeds=tuple(seed for _, seed in pairs))


def _ratio(point: Point, cost: str, unit: float, values: tuple[float, ...] | None = None) -> Estimate | None:
    known = point.costs.get(cost)
    if known is None:
        return None
    sizes = dict(zip(known.seeds, known.values, strict=True))
    pairs = [
        (value * _MILLION / (sizes[seed] * unit), seed)
        for value, seed in zip(values or point.test.values, point.test.seeds, strict=True)
        if sizes.get(seed)
    ]
    if not pairs:
        return None
    return Estimate(values=tuple(value for value, _ in pairs), seeds=tuple(seed for _, seed in pairs))
