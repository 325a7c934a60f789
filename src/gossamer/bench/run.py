"""Runs the families of kernels: every case against each of its peers, in turns, on each number of threads."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gossamer.bench.case import Amount, Call, Case, Patience
from gossamer.bench.limits import Limits
from gossamer.errors import GossamerError
from gossamer.kernels import native
from gossamer.timing import Timing, interleaved, using_threads

FAMILIES: dict[str, str] = {  # name: what it times; the cases are in gossamer.bench.families.<name>
    "csr": "products with a sparse weight, single entries",
    "blocks": "products with a sparse weight, blocks of rows that share columns",
    "training": "a training step of a sparse layer, and its memory",
    "convolution": "sparse convolutions, and a whole residual network",
    "low-bits": "binary, ternary, few-bit and int8 products",
    "aggregation": "sums and maxima over neighbours",
    "attention": "attention over neighbours, and its memory",
    "sampling": "neighbour sampling",
    "walks": "random walks, in time and not",
    "skip-gram": "node vectors from walks",
    "flows": "small dense products in four dataflows, and a step of a network on node vectors",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    Attributes:
        family, case: What was timed.
        threads: Of ours; the peer's too, unless its name says otherwise.
        isa: Instruction set of our kernel.
        ours_ms, peer_ms: Median times of one call; None where memory was compared or the peer is missing.
        ours_spread_ms, peer_spread_ms: Interquartile ranges of these times.
        ours_bytes, peer_bytes: Peak memory, where that was compared.
        peer: Its name.
        ratio: The peer's time (or memory) over ours: above 1 we win.
        ratio_low, ratio_high: The middle half of the ratios of the rounds.
        bar: What the ratio has to reach; None where no bar is set.
        limit_ms: The least time that this machine's memory or arithmetic allows for the case.
        limit: Which of them sets it.
        note: What a reader must know, if anything.
    """

    family: str
    case: str
    threads: int
    isa: str
    peer: str
    ours_ms: float | None = None
    ours_spread_ms: float | None = None
    peer_ms: float | None = None
    peer_spread_ms: float | None = None
    ours_bytes: int | None = None
    peer_bytes: int | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    bar: float | None = None
    limit_ms: float | None = None
    limit: str | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None without a bar or without a ratio."""
        return None if self.bar is None or self.ratio is None else self.ratio >= self.bar

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object of all fields."""
        return asdict(self)


def run_family(
    name: str,
    *,
    limits: Mapping[int, Limits],
    patience: Patience,
    each: Callable[[str], object] = lambda case: None,
) -> Iterator[Row]:
    """Times a family and yields its rows as they are measured.

    Args:
        name: One of `FAMILIES`.
        limits: Those of this machine by number of threads; the family runs with each of these numbers.
        patience: Which cases, and for how long.
        each: Called with the name of each case before it starts.

    Raises:
        GossamerError: A peer's result is not ours: the times would compare two different jobs.
    """
    family = importlib.import_module(f"gossamer.bench.families.{name.replace('-', '_')}")
    torch.manual_seed(0)
    for case in family.cases(patience):
        each(case.name)
        if isinstance(case, Amount):
            yield _amount(name, case)
            continue
        for threads, limit in limits.items():
            if case.counts is None or threads in case.counts:
                yield from _rows(name, case, limit, patience.seconds)


def _rows(family: str, case: Case, limits: Limits, seconds: float) -> Iterator[Row]:
    least, kind = limits.of(case)
    for peer in case.peers:
        if peer.threads is not None and peer.threads >= limits.threads:
            continue  # on one thread there is nothing to gain from two
        bar = peer.bar if limits.threads == 1 or peer.threads or peer.every_count else None
        row = Row(
            family=family,
            case=case.name,
            threads=limits.threads,
            isa=native.isa() if native.available() else "reference",
            peer=peer.name,
            bar=bar,
            limit_ms=least,
            limit=kind,
            note=peer.note,
        )
        if peer.call is None:
            yield row
            continue
        ours = peer.ours or case.ours
        with using_threads(limits.threads), torch.set_grad_enabled(case.training):
            theirs = peer.call if peer.threads is None else _on(peer.threads, peer.call)
            if peer.tolerance is not None:
                _agree(f"{family}, {case.name}: {peer.name}", ours(), theirs(), peer.tolerance)
            calls = {"ours": ours, "peer": theirs}
            times = interleaved(calls, repeats=10_000, seconds=seconds, warm=1)
        yield _timed(row, times["ours"], times["peer"])


def _timed(row: Row, ours: Timing, theirs: Timing) -> Row:
    ratios = sorted(its / mine for mine, its in zip(ours.times_ms, theirs.times_ms, strict=True))
    values = {
        "ours_ms": ours.median_ms,
        "ours_spread_ms": ours.spread_ms,
        "peer_ms": theirs.median_ms,
        "peer_spread_ms": theirs.spread_ms,
        "ratio": theirs.median_ms / ours.median_ms,
        "ratio_low": ratios[len(ratios) // 4],
        "ratio_high": ratios[-1 - len(ratios) // 4],
    }
    return Row(**{**row.to_json(), **{key: float(f"{value:.4g}") for key, value in values.items()}})


def _amount(family: str, amount: Amount) -> Row:
    ours, theirs = amount.ours(), amount.theirs()
    known = ours is not None and theirs is not None
    return Row(
        family=family,
        case=amount.name,
        threads=1,
        isa=native.isa() if native.available() else "reference",
        peer=amount.peer,
        ours_bytes=ours,
        peer_bytes=theirs,
        ratio=float(f"{theirs / max(ours, 1):.4g}") if known and ours is not None and theirs is not None else None,
        bar=amount.bar,
        note="" if known else "peak memory is read from /proc, which this system lacks",
    )


def _agree(peer: str, ours: Any, theirs: Any, tolerance: float) -> None:
    """Refuses to compare the times of different results."""
    if not isinstance(ours, Tensor):
        return
    try:
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=tolerance, atol=tolerance)
    except AssertionError as error:
        reason = " ".join(str(error).split())
        raise GossamerError(f"{peer} computes something else than ours: {reason}") from None


def _on(threads: int, call: Call) -> Call:
    def run() -> Any:
        with using_threads(threads):
            return call()

    return run


def lost(rows: Sequence[Row]) -> list[Row]:
    """Returns the comparisons in which the peer was faster or smaller, worst first."""
    return sorted((row for row in rows if row.ratio is not None and row.ratio < 1), key=lambda row: row.ratio or 0)
