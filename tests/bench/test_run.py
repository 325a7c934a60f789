"""Rows say what was measured, and a comparison of different results is refused."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gossamer.bench import FAMILIES, Case, Limits, Peer, Row, run_family
from gossamer.bench.case import QUICK, Amount, Patience
from gossamer.bench.run import lost
from gossamer.errors import GossamerError

LIMITS = {1: Limits(threads=1, bytes_per_second=1e9, flops_per_second=2e9)}
SHORT = Patience(seconds=0.0, full=False)


def family(monkeypatch: pytest.MonkeyPatch, *cases: Case | Amount) -> str:
    """Makes a family of these cases and returns its name."""
    module = types.ModuleType("gossamer.bench.families.made_up")
    vars(module)["cases"] = lambda patience: iter(cases)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return "made-up"


def rows(name: str, limits: dict[int, Limits] = LIMITS) -> list[Row]:
    return list(run_family(name, limits=limits, patience=SHORT))


def test_a_ratio_is_the_peers_time_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(
        [0.0, *(time for start in range(0, 10_000, 100) for time in (start, start + 2, start + 10, start + 16))]
    )
    monkeypatch.setattr("gossamer.timing.time.perf_counter", lambda: next(clock))
    name = family(monkeypatch, Case("job", lambda: 0, (Peer("other", lambda: 0, 2.5),)))
    (row,) = rows(name)
    assert (row.ours_ms, row.peer_ms, row.ratio, row.ratio_low, row.ratio_high) == (2000.0, 6000.0, 3.0, 3.0, 3.0)
    assert row.met


def test_the_limit_is_the_longer_of_reading_and_computing() -> None:
    case = Case("job", lambda: 0, (), flops=4e6, bytes=1e6)
    assert LIMITS[1].of(case) == (2.0, "arithmetic")
    assert LIMITS[1].of(Case("job", lambda: 0, (), flops=1e6, bytes=1e6)) == (1.0, "memory")
    assert LIMITS[1].of(Case("job", lambda: 0, ())) == (None, None)


def test_different_results_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    name = family(monkeypatch, Case("job", lambda: torch.ones(2), (Peer("wrong", lambda: torch.zeros(2)),)))
    with pytest.raises(GossamerError, match="made-up, job: wrong computes something else"):
        rows(name)


def test_a_missing_peer_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    name = family(monkeypatch, Case("job", lambda: 0, (Peer("gone", None, 3.0, note="pip install gone"),)))
    (row,) = rows(name)
    assert (row.ratio, row.met, row.note) == (None, None, "pip install gone")


def test_bars_hold_for_one_thread_and_scaling_for_several(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    peers = (
        Peer("other", lambda: 0, 2.0),
        Peer("one thread", lambda: seen.append(torch.get_num_threads()), 1.7, threads=1),
    )
    name = family(monkeypatch, Case("job", lambda: 0, peers))
    both = {**LIMITS, 2: Limits(threads=2, bytes_per_second=1e9, flops_per_second=2e9)}
    found = [(row.threads, row.peer, row.bar) for row in rows(name, both)]
    assert found == [(1, "other", 2.0), (2, "other", None), (2, "one thread", 1.7)]
    assert set(seen) == {1}


def test_memory_is_compared_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    name = family(monkeypatch, Amount("peak", lambda: 10, "other", lambda: 60, bar=5.0))
    (row,) = rows(name)
    assert (row.ours_bytes, row.peer_bytes, row.ratio, row.met) == (10, 60, 6.0, True)


def test_the_lost_comparisons_come_worst_first() -> None:
    made = [Row(family="f", case=str(r), threads=1, isa="x", peer="p", ratio=r) for r in (0.9, 2.0, 0.4)]
    assert [row.case for row in lost(made)] == ["0.4", "0.9"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_first_case_of_every_family_agrees_with_its_peers(name: str) -> None:
    module: Any = importlib.import_module(f"gossamer.bench.families.{name.replace('-', '_')}")
    cases: Iterator[Case | Amount] = module.cases(QUICK)
    case = next(cases)
    assert isinstance(case, Case)
    ours = case.ours()
    for peer in case.peers:
        if peer.call is not None and peer.tolerance is not None:
            torch.testing.assert_close(ours, peer.call(), rtol=1e-3, atol=1e-3)
