"""What one comparison of a benchmark is: our call, the peers' calls for the same job, and what it takes at least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Call = Callable[[], Any]


@dataclass(frozen=True)
class Patience:
    """How much a run of the benchmarks does.

    Attributes:
        seconds: For how long the calls of one comparison take turns.
        full: Every shape that a bar is set for, at its size; otherwise the shapes that tell most, some of them smaller.
    """

    seconds: float
    full: bool


QUICK = Patience(seconds=0.3, full=False)
FULL = Patience(seconds=2.0, full=True)


@dataclass(frozen=True)
class Peer:
    """What ours is compared with.

    Attributes:
        name: As rows show it.
        call: Does the same job; None where it cannot run here, and `note` says why.
        bar: How many times as fast ours has to be, on one thread; None where no bar is set.
        threads: Runs on so many threads, whatever ours runs on; None: as ours.
        ours: What is timed against this peer in place of the case's own call.
        tolerance: How far results may be apart, absolute and relative; None where they need not agree.
        note: What a reader of the row must know.
        every_count: The bar also holds with several threads.
    """

    name: str
    call: Call | None
    bar: float | None = None
    threads: int | None = None
    ours: Call | None = None
    tolerance: float | None = 1e-3
    note: str = ""
    every_count: bool = False


@dataclass(frozen=True)
class Case:
    """One job of a family.

    Attributes:
        name: Kind and shape, unique in its family.
        ours: Does the job with our kernel.
        peers: What it is compared with, each in turns with ours alone.
        flops: Floating-point operations of ours, a multiply-add being two; None where another unit does the work.
        bytes: Bytes that the job has to read and write at least, each once.
        counts: The thread counts it is run on; None: all that were asked for.
        training: It takes gradients; all others run without recording what they would need.
    """

    name: str
    ours: Call
    peers: tuple[Peer, ...]
    flops: float | None = None
    bytes: float | None = None
    counts: tuple[int, ...] | None = None
    training: bool = False


@dataclass(frozen=True)
class Amount:
    """Bytes that something takes, ours and a peer's, where memory is compared and not time."""

    name: str
    ours: Callable[[], int | None]
    peer: str
    theirs: Callable[[], int | None]
    bar: float | None = field(default=None)
