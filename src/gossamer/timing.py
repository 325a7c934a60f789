"""Times calls in turns, by the wall clock, on however many threads were asked for.

Timing one thing for a second and then the other for a second compares two seconds of the machine's life as much as
two things. Here every round calls each once, so that what disturbs the machine disturbs all of them.

Before anything is timed, the C library is told to keep the memory that is freed (`keep_heap`). In a young process it
hands the end of its heap back to the system after each call, and the next call pays for every page of it once more:
a network whose activations take a few megabytes then takes up to twice as long as in a process that has run for a
while, whose heap ends in something that stays. Timed like this, the two agree.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gossamer.counting import tensors_in
from gossamer.errors import SettingError

_WARM_UP = 3  # calls before the first one that is timed
_FEWEST = 5  # timed calls, however long one takes
_PERIOD_MS = 20.0  # calls this near in time share what disturbs them; two periods do not, as far as is assumed
_FIRST_SECONDS = 0.4  # about 20 periods: nothing is decided before
_HEAP_BYTES = 2**30  # freed memory at the end of the heap that is kept
_MAPPED_BYTES = 2**25  # larger tensors are mapped one by one, the most that the GNU C library allows
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of its `mallopt`
_MANY = 1_000_000  # calls: the clock stops them first
_DEVIATIONS = 3.0  # half-width of the interval of a median, in standard deviations of a rank: 99.7 %


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


def against(call: Callable[[], Any], bound_ms: float, *, seconds: float = 1.5) -> Timing:
    """Times a call until it is clear on which side of a bound its median lies, or the time is up.

    Calls that follow one another are not independent: what slows one slows the next. So the times are cut into
    periods of 20 ms, and the interval of the median is that of the periods' medians, by their ranks; it assumes
    nothing of how times are distributed. The time doubles from look to look, so that there are few looks.

    Args:
        call: What to time.
        bound_ms: The bound, in milliseconds.
        seconds: About how long to go on at most; the whole is rounded up to the next doubling of 0.4 seconds.

    Returns:
        All times taken. Where the time was up first, the median is as near to the bound as the noise.
    """
    times: tuple[float, ...] = ()
    more = _FIRST_SECONDS
    spent = 0.0
    while True:
        times += interleaved({"call": call}, repeats=_MANY, seconds=more)["call"].times_ms
        low, high = median_interval(_period_medians(times))
        spent += more
        if high <= bound_ms or low > bound_ms or spent >= seconds:
            return Timing(times)
        more = spent


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns an interval that holds the median of what `values` are drawn from, 99.7 times of 100.

    Its ends are two of the values, the r-th from below and from above with r = n/2 - 3/2 √n: how many of n values lie
    below the median is binomial. Of too few values it is everything: (0, inf).

    >>> median_interval([float(i) for i in range(1, 101)])
    (35.0, 66.0)
    """
    rank = math.floor((len(values) - _DEVIATIONS * math.sqrt(len(values))) / 2)
    if rank < 1:
        return 0.0, math.inf
    ordered = sorted(values)
    return ordered[rank - 1], ordered[-rank]


def _period_medians(times_ms: Sequence[float]) -> list[float]:
    """Returns the median of each period of at least 20 ms; an unfinished last one is left out."""
    medians: list[float] = []
    first, spent = 0, 0.0
    for place, time_ms in enumerate(times_ms, start=1):
        spent += time_ms
        if spent >= _PERIOD_MS:
            medians.append(statistics.median(times_ms[first:place]))
            first, spent = place, 0.0
    return medians


def interleaved(
    calls: dict[str, Callable[[], Any]], *, repeats: int = 100, seconds: float = 1.0, warm: int = 0
) -> dict[str, Timing]:
    """Times several calls in turns, so that what disturbs the machine disturbs all of them.

    Args:
        calls: What to time, by name; each is called 3 times before the clock starts.
        repeats: Most rounds, at least 1.
        seconds: No round begins after this long, but not before 5 rounds (or `repeats`, if fewer).
        warm: Untimed calls of the same before each timed one, at least 0: what the others left of caches and of memory
            then does not count.

    Returns:
        One `Timing` for each name. On a CUDA device each call is timed until the device is done.
    """
    if repeats < 1:
        raise SettingError(f"repeats is {repeats}; expected at least 1")
    keep_heap()
    synchronize = _synchronizer([out for call in calls.values() for out in tensors_in(call())])
    for call in list(calls.values()) * (_WARM_UP - 1):
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    for done in range(repeats):
        if done >= _FEWEST and time.perf_counter() > end:
            break
        for name, call in calls.items():
            for _ in range(warm):
                call()
            synchronize()
            start = time.perf_counter()
            call()
            synchronize()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: Timing(tuple(values)) for name, values in times.items()}


@functools.cache
def keep_heap() -> bool:
    """Has this process keep memory that is freed, from now on, and says whether its C library can do so.

    Any library but GNU's is left as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, _HEAP_BYTES))


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
