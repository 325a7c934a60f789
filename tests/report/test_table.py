from __future__ import annotations

import io

from rich.console import Console

from gossamer import units
from gossamer.report import table
from tests.report.fixture import run


def test_one_row_a_point_with_ratios_and_failures() -> None:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(table(run(methods=("dense", "rigl", "lottery"))))
    rows = [line.split() for line in console.export_text().splitlines() if line.strip()]
    dense = next(row for row in rows if "dense" in row)
    assert dense[-2:] == ["ms", "engine"]  # no ratio to itself
    rigl = next(" ".join(row) for row in rows if "rigl" in row and "90" in row)
    assert f"45.6 kB 8.5{units.TIMES}" in rigl
    assert "seed 0 failed" in " ".join(rows[-1])


def test_brackets_in_a_method_are_text_and_not_style() -> None:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(table(run(methods=("dense", "magnitude[granularity=simd-blocks]"))))
    assert "magnitude[granularity=simd-blocks]" in console.export_text()
