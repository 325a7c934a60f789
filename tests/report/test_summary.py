from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError, FileError
from gossamer.report.summary import Spread, load, summarize
from tests.report.fixture import cell, run


def test_seeds_are_averaged_and_failures_are_not() -> None:
    summary = summarize(run())
    point = next(p for p in summary.points if p.label == "rigl 90 %")
    values = [c["quality"]["accuracy"] for c in run()["cells"] if c["method"] == "rigl" and c["sparsity"] == 0.9]
    assert point.quality == Spread(mean=statistics.fmean(values), deviation=statistics.stdev(values), count=3)
    lost = next(p for p in summary.points if p.label == "lottery 98 %")
    assert lost.quality.count == 2
    assert [c["id"] for c in summary.failed] == ["lottery-0.98-0"]


def test_one_seed_has_no_deviation() -> None:
    assert all(point.quality.deviation is None for point in summarize(run(seeds=(4,))).points)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12), st.booleans())
def test_the_pareto_set_by_brute_force(figures: list[tuple[int, int]], higher: bool) -> None:
    cells = []
    for index, (size, quality) in enumerate(figures):
        made = cell("rigl", 0.5, 0)
        made["method"] = f"m{index}"
        made["quality"]["accuracy"] = float(quality)
        made["cost"]["bytes"] = size
        cells.append(made)
    summary = summarize(run() | {"cells": cells, "higher_is_better": higher})
    sign = 1 if higher else -1

    def beaten(i: int) -> bool:
        size, quality = figures[i]
        return any(s <= size and sign * q >= sign * quality and (s, q) != (size, quality) for s, q in figures)

    expected = {figures[i] for i in range(len(figures)) if not beaten(i)}
    front = [(p.costs["bytes"].mean, p.quality.mean) for p in summary.pareto("bytes")]
    assert set(front) == expected
    assert len(front) == len(expected)
    assert front == sorted(front)


def test_the_pick_is_the_smallest_that_is_level_on_validation() -> None:
    cells = [cell("dense", None, 0), cell("rigl", 0.5, 0), cell("rigl", 0.9, 0), cell("rigl", 0.98, 0)]
    for made, validation, test in zip(cells, (0.80, 0.799, 0.793, 0.70), (0.8, 0.8, 0.5, 0.9), strict=True):
        made["validation"]["accuracy"] = validation
        made["quality"]["accuracy"] = test  # must not matter
    picked = summarize(run() | {"cells": cells}).pick()
    assert picked is not None
    assert picked.label == "rigl 90 %"


def test_a_comparison_without_dense_has_no_baseline_but_a_compression_has() -> None:
    cells = [cell("rigl", 0.9, 0)]
    assert summarize(run() | {"cells": cells}).baseline is None
    baseline = summarize(run() | {"cells": cells, "kind": "compression"}).baseline
    assert baseline is not None
    assert baseline.quality.mean == cells[0]["quality_before"]["accuracy"]
    assert baseline.costs["bytes"].mean == cells[0]["cost_before"]["bytes"]


def test_ratios_are_dense_over_compressed() -> None:
    summary = summarize(run())
    point = next(p for p in summary.points if p.label == "rigl 50 %")
    assert summary.baseline is not None
    ratio = summary.ratio(point, "macs")
    assert ratio == pytest.approx(summary.baseline.costs["macs"].mean / point.costs["macs"].mean)
    assert summary.ratio(point, "peak_memory_bytes") is None


def test_loads_from_a_file_and_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(run(seeds=(0,))))
    assert load(tmp_path) == load(tmp_path / "run.json") == run(seeds=(0,))


@pytest.mark.parametrize(
    ("value", "message"),
    [([], "is not a run"), ({"cells": []}, "is not a run"), (run() | {"format": 2}, "format 2; this version reads")],
)
def test_what_is_not_a_run_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nothing\.json"):
        load(tmp_path / "nothing.json")
