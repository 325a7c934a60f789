"""How many workers fit, told of machines that do not exist."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.compression.engines import memory
from gossamer.compression.engines.memory import Memory, Usage, available_bytes, total_bytes, usage_of

GIB = 2**30


@given(
    st.integers(1, 64),
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 100)), min_size=1, max_size=6),
    st.integers(0, 64),
)
def test_workers_that_all_grow_to_the_peak_leave_the_reserve(
    total: int, workers: list[tuple[int, int]], taken: int
) -> None:
    usages = {i: Usage(now=peak * GIB * part // 100, peak=peak * GIB) for i, (peak, part) in enumerate(workers)}
    used = taken * GIB + sum(usage.now for usage in usages.values())
    watched = Memory(available=lambda: total * GIB - used, total=total * GIB, usage=usages.get)
    watched.watch(usages)
    most = max(usage.peak for usage in usages.values())
    at_worst = taken * GIB + (len(usages) + 1) * most + min(GIB, total * GIB // 10)
    assert watched.fits_another(list(usages)) == (at_worst <= total * GIB)


def test_the_peak_is_known_once_it_stands() -> None:
    now, usage = [0.0], {1: Usage(now=GIB, peak=GIB)}
    watched = Memory(available=lambda: 0, total=GIB, usage=usage.get, clock=lambda: now[0])
    now[0] = 100.0
    assert not watched.steady(), "nothing has run yet"
    watched.watch([1])
    now[0] = 103.0
    usage[1] = Usage(now=GIB, peak=2 * GIB)
    watched.watch([1])
    now[0] = 107.0
    assert not watched.steady()
    now[0] = 109.0
    assert watched.steady()
    assert watched.short()


def test_a_process_is_seen_as_the_system_sees_it() -> None:
    own = usage_of(psutil.Process().pid)
    assert own is not None
    assert own.peak >= own.now > 2**20
    assert usage_of(2**22 + 1) is None
    assert 0 < available_bytes() < total_bytes() <= psutil.virtual_memory().total


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_control_group_around_counts(tmp_path: Path, version: int) -> None:
    proc, groups = tmp_path / "proc" / "self", tmp_path / "sys" / "fs" / "cgroup"
    if version == 2:
        write(proc, cgroup="0::/outer/inner\n")
        write(
            groups / "outer", memory__max="1000\n", memory__current="600\n", memory__stat="anon 1\ninactive_file 100\n"
        )
        write(groups / "outer" / "inner", memory__max="max\n", memory__current="5\n", memory__stat="inactive_file 0\n")
    else:
        write(proc, cgroup="4:cpu:/x\n3:memory:/outer\n")
        limits = {"memory__limit_in_bytes": "1000\n", "memory__usage_in_bytes": "600\n"}
        write(groups / "memory" / "outer", **limits, memory__stat="inactive_file 1\ntotal_inactive_file 100\n")
    assert memory._groups(tmp_path) == [(1000, 500)]
    assert memory._groups(tmp_path / "none") == []
