"""Times calls in turns, by the wall clock, on however many threads were asked for.

Timing one thing for a second and then the other for a second compares two seconds of the machine's life as much as
two things. Here every round calls each once, so that what disturbs the machine disturbs all of them.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gossamer.counting import tensors_in
from gossamer.errors import SettingError

_WARM_UP = 3  # calls before the first one that is timed
_FEWEST = 5  # timed calls, however long one takes


@dataclass(frozen=True)
class Timing:
    """Times of one call, in the order they were taken.

    Attributes:
        times_ms: At least one, in milliseconds.
    """

    times_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The median."""
        return statistics.median(self.times_ms)

    @property
    def quick_ms(self) -> float:
        """The time that a quarter of the calls, and at least five, did not exceed.

        Whatever else runs on the machine only ever adds to a time, so this says more of the call itself than the
        median does when the machine is busy.
        """
        rank = max(min(_FEWEST, len(self.times_ms)), math.ceil(len(self.times_ms) / 4))
        return sorted(self.times_ms)[rank - 1]

    @property
    def spread_ms(self) -> float:
        """The interquartile range; 0 for a single time."""
        if len(self.times_ms) == 1:
            return 0.0
        low, _, high = statistics.quantiles(self.times_ms, n=4, method="inclusive")
        return high - low


def interleaved(calls: dict[str, Callable[[], Any]], *, repeats: int = 100, seconds: float = 1.0) -> dict[str, Timing]:
    """Times several calls in turns, so that what disturbs the machine disturbs all of them.

    Args:
        calls: What to time, by name; each is called 3 times before the clock starts.
        repeats: Most rounds, at least 1.
        seconds: No round begins after this long, but not before 5 rounds (or `repeats`, if fewer).

    Returns:
        One `Timing` for each name. On a CUDA device each call is timed until the device is done.
    """
    if repeats < 1:
        raise SettingError(f"repeats is {repeats}; expected at least 1")
    synchronize = _synchronizer([out for call in calls.values() for out in tensors_in(call())])
    for call in list(calls.values()) * (_WARM_UP - 1):
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    for done in range(repeats):
        if done >= _FEWEST and time.perf_counter() > end:
            break
        for name, call in calls.items():
            synchronize()
            start = time.perf_counter()
            call()
            synchronize()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: Timing(tuple(values)) for name, values in times.items()}


def _synchronizer(outputs: list[Tensor]) -> Callable[[], None]:
    if any(tensor.is_cuda for tensor in outputs):
        return torch.cuda.synchronize
    return lambda: None


@contextlib.contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Sets the number of PyTorch's threads and puts it back at the end; None changes nothing."""
    if threads is None:
        yield
        return
    if threads < 1:
        raise SettingError(f"threads is {threads}; expected at least 1, or None for PyTorch's own setting")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
