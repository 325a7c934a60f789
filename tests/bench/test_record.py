"""Records of benchmarks: written by family, read back, shown as a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gossamer.bench import Limits, Row, load, record, save
from gossamer.bench.memory import peak_bytes
from gossamer.bench.table import markdown
from gossamer.cli import main
from gossamer.errors import FileError

LIMITS = [Limits(threads=1, bytes_per_second=20e9, flops_per_second=90e9)]
ROWS = [
    Row(
        family="csr",
        case="job",
        threads=1,
        isa="avx2",
        peer="dense",
        ours_ms=0.5,
        peer_ms=2.0,
        ratio=4.0,
        ratio_low=3.5,
        ratio_high=4.5,
        bar=4.8,
        limit_ms=0.25,
        limit="memory",
    ),
    Row(family="walks", case="peak", threads=1, isa="avx2", peer="other", ours_bytes=10, note="who knows"),
]


def test_every_family_has_a_file(tmp_path: Path) -> None:
    value = record(ROWS, LIMITS, full=True)
    assert [path.name for path in save(value, tmp_path)] == ["csr.json", "walks.json"]
    first, second = load(tmp_path)
    assert [Row(**row) for row in first["rows"] + second["rows"]] == ROWS
    assert first["machine"]["cores"] >= 1
    assert first["limits"] == [{"threads": 1, "read_gb_per_second": 20.0, "gflop_per_second": 90.0}]


def test_the_page_marks_a_missed_bar_and_shows_the_limit() -> None:
    page = markdown([record(ROWS[:1], LIMITS, full=True)])
    assert "| job | 1 | 500 µs | dense | 2 ms | 4.00 ✗ | 3.50 to 4.50 | 4.8 | 50 % memory |" in page


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FileError, match=r"x\.json: is not the record of `gossamer bench kernels`"):
        load(tmp_path)


def test_the_command_refuses_an_unknown_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "kernels", "--family", "cvr"]) == 2
    assert "did you mean 'csr'" in capsys.readouterr().err


def test_the_page_command_reads_what_was_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(record(ROWS, LIMITS, full=False), tmp_path)
    page = tmp_path / "page.md"
    assert main(["bench", "page", "--results", str(tmp_path), "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(page)}
    assert "## csr" in page.read_text()
    assert "- other: who knows" in page.read_text()


def four_megabytes(held: str) -> object:
    """Returns work that needs twice two million bytes more than its process had, and so many that were there."""

    def work() -> int:
        bytearray(b"x" * 2_000_000)
        return int(held)

    return work


def test_peak_memory_is_that_of_the_work_and_of_what_it_held() -> None:
    for held in (0, 7_000_000):
        found = peak_bytes("tests.bench.test_record:four_megabytes", str(held))
        assert found is None or 3_500_000 < found - held < 5_000_000
