"""How many worker processes fit into memory, told from what the ones that run have taken.

Every worker is expected to take as much as the greediest so far. One more fits if that much is free beyond what the
others may still grow by, and beyond a reserve for everything else on the machine. The limit of the control group
counts like the end of the machine's memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_RESERVE = 2**30  # bytes that are left to others, at most
_RESERVED = 0.1  # of all memory that is left to others, at most
_STEADY = 5.0  # seconds without a new peak, after which a worker is taken to have shown it


@dataclass(frozen=True)
class Usage:
    """What one process takes, in bytes: now, and at most so far."""

    now: int
    peak: int


class Memory:
    """Watches workers and says whether one more fits.

    Args:
        available: Bytes that could be had now.
        total: Bytes of the machine or control group.
        usage: What a process takes; None once it has ended.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        available: Callable[[], int] | None = None,
        total: int | None = None,
        usage: Callable[[int], Usage | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._available = available or available_bytes
        self._usage = usage or usage_of
        self._clock = clock
        self._reserve = min(_RESERVE, int(_RESERVED * (total or total_bytes())))
        self._peak = 0
        self._since = clock()

    def watch(self, workers: Iterable[int]) -> None:
        """Notes what the processes with these ids take; to be called every now and then."""
        peak = max((found.peak for worker in workers if (found := self._usage(worker))), default=0)
        if peak > 1.02 * self._peak:
            self._since = self._clock()
        self._peak = max(peak, self._peak)

    def steady(self) -> bool:
        """Says whether the peak has stood for so long that it is taken for all that a cell needs."""
        return self._peak > 0 and self._clock() - self._since > _STEADY

    def fits_another(self, workers: Sequence[int]) -> bool:
        """Says whether one more worker fits beside these, should each of them grow to the peak."""
        growth = sum(max(0, self._peak - found.now) for worker in workers if (found := self._usage(worker)))
        return self._available() - self._reserve - growth >= self._peak

    def short(self) -> bool:
        """Says whether less than the reserve is left."""
        return self._available() < self._reserve


def usage_of(process: int) -> Usage | None:
    """Returns what a process takes of memory that is in use; None where there is no such process."""
    import psutil

    try:
        now = int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return None
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    except OSError:
        peaks = []
    return Usage(now=now, peak=max([now, *peaks]))


def available_bytes() -> int:
    """Returns how much memory could be had now without swapping, within the limits of the control group."""
    import psutil

    return min([int(psutil.virtual_memory().available), *(limit - used for limit, used in _groups(Path("/")))])


def total_bytes() -> int:
    """Returns how much memory there is, within the limits of the control group."""
    import psutil

    return min([int(psutil.virtual_memory().total), *(limit for limit, _ in _groups(Path("/")))])


def _groups(root: Path) -> list[tuple[int, int]]:
    """Returns (limit, in use) in bytes of this process's control group and those around it, where there are limits.

    File pages that nobody has used lately do not count as in use: they go when the memory is needed.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            top, limit, used, inactive = "", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, used = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            inactive = "total_inactive_file"
        else:
            continue
        base = root / "sys/fs/cgroup" / top
        place = base / name.strip("/")
        around = (group for group in [place, *place.parents] if group.is_relative_to(base))
        found += [pair for group in around if (pair := _group(group, limit, used, inactive))]
    return found


def _group(group: Path, limit: str, used: str, inactive: str) -> tuple[int, int] | None:
    try:
        bound = (group / limit).read_text(encoding="utf-8").strip()
        taken = int((group / used).read_text(encoding="utf-8"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return None
    if not bound.isdigit():
        return None  # "max"
    return int(bound), max(0, taken - int(stat.get(inactive, 0)))
