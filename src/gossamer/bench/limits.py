"""The limits of this machine that a kernel is held against: bytes a second from memory, operations a second.

Both are measured, with calls that do nothing else: the sum of an array that no cache holds, and PyTorch's dense
product of two matrices. No case can be faster than the longer of the two times that these limits give it, except
where its data stay in a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gossamer.bench.case import Case
from gossamer.timing import interleaved, using_threads

_ARRAY = 1 << 26  # numbers: 256 MiB, more than any cache holds
_SIDE = 1536  # of the dense matrices


@dataclass(frozen=True)
class Limits:
    """What this machine can do with so many threads.

    Attributes:
        threads: The number of threads.
        bytes_per_second: Read from memory.
        flops_per_second: Of float32 multiply-adds, two each.
    """

    threads: int
    bytes_per_second: float
    flops_per_second: float

    def of(self, case: Case) -> tuple[float | None, str | None]:
        """Returns the least milliseconds that `case` could take and what sets them: memory or arithmetic.

        Both are None where the case states neither its bytes nor its operations.
        """
        times = {}
        if case.bytes is not None:
            times["memory"] = 1e3 * case.bytes / self.bytes_per_second
        if case.flops is not None:
            times["arithmetic"] = 1e3 * case.flops / self.flops_per_second
        if not times:
            return None, None
        kind = max(times, key=lambda name: times[name])
        return times[kind], kind


def measure_limits(threads: int, *, seconds: float = 1.0) -> Limits:
    """Measures what memory and arithmetic give with `threads` threads; takes about `seconds`."""
    with using_threads(threads), torch.no_grad():
        array, left, right = torch.ones(_ARRAY), torch.randn(_SIDE, _SIDE), torch.randn(_SIDE, _SIDE)
        times = interleaved({"read": array.sum, "multiply": lambda: left @ right}, seconds=seconds)
    return Limits(
        threads=threads,
        bytes_per_second=1e3 * 4 * _ARRAY / times["read"].quick_ms,
        flops_per_second=1e3 * 2 * _SIDE**3 / times["multiply"].quick_ms,
    )
