"""Sweeps with worker processes that are killed, stopped, crowded, and left without a disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.compression.sweeps import ended, started, timeless, trainings, wait_for


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Returns the cells of the script's sweep in one process."""
    return timeless(ended(started(tmp_path_factory.mktemp("inline"), engine="inline")))


def test_a_killed_sweep_ends_as_an_undisturbed_one(tmp_path: Path, undisturbed: list[dict[str, Any]]) -> None:
    for records, pause in ((1, 0.2), (3, 0.05)):
        sweep = started(tmp_path, workers=2, pause=pause)
        wait_for(lambda found=records: len(list(tmp_path.glob("cells/*/cell.json"))) >= found)
        workers = {int(line.rsplit(" ", 1)[1]) for line in trainings(tmp_path)}
        os.killpg(sweep.pid, signal.SIGKILL)
        sweep.communicate()
        wait_for(lambda gone=workers: not any(psutil.pid_exists(worker) for worker in gone), seconds=20)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/cell.json")}
    assert finished
    cells = ended(started(tmp_path, workers=2))
    assert timeless(cells) == undisturbed
    assert all(cell["cost"]["latency_ms"] > 0 for cell in cells)
    assert not list(tmp_path.glob("cells/*/.*")), "half a file was left"
    assert len(trainings(tmp_path)) <= 6 + 2 * 2, "more than the cells under way was lost"


def test_two_processes_share_a_folder(tmp_path: Path, undisturbed: list[dict[str, Any]]) -> None:
    both = [started(tmp_path, workers=1, pause=0.02) for _ in range(2)]
    for sweep in both:
        assert timeless(ended(sweep)) == undisturbed
    assert len(trainings(tmp_path)) == 6, "a cell was trained twice"
    assert len({line.rsplit(" ", 1)[1] for line in trainings(tmp_path)}) == 2, "one of them did everything"


def test_ctrl_c_saves_what_is_under_way(tmp_path: Path, undisturbed: list[dict[str, Any]]) -> None:
    sweep = started(tmp_path, workers=1, pause=0.3)
    wait_for(lambda: list(tmp_path.glob("cells/*/checkpoints/*")))
    os.killpg(sweep.pid, signal.SIGINT)
    _, said = sweep.communicate()
    assert sweep.returncode
    assert "the comparison was stopped, 0 of 6 cells finished; the same call goes on" in said.splitlines()[-1]
    assert not any(psutil.pid_exists(int(line.rsplit(" ", 1)[1])) for line in trainings(tmp_path))
    cells = ended(started(tmp_path, engine="inline"))
    assert timeless(cells) == undisturbed
    assert any(cell["history"]["resumed_from"] is not None for cell in cells)


def test_a_worker_that_dies_fails_its_cell_and_no_other(tmp_path: Path) -> None:
    crash = {"0.5": signal.SIGKILL, "0.75": signal.SIGSEGV}
    cells = ended(started(tmp_path, crash=crash, sparsities=(0.5, 0.75), seeds=(0,), workers=1, latency=False))
    status = {(cell["method"], cell["sparsity"]): cell["status"] for cell in cells}
    assert status == {
        ("dense", 0.0): "done",
        ("magnitude", 0.5): "done",
        ("magnitude", 0.75): "done",
        ("crashing", 0.5): "failed",
        ("crashing", 0.75): "failed",
    }
    killed, faulted = cells[-2:]
    assert killed["error"] == "the worker process was killed, probably as memory ran out"
    assert "SIGSEGV" in faulted["error"]
    log = (tmp_path / faulted["log"]).read_text()
    assert "these are the last words" in log
    assert "Segmentation fault" in log


def test_a_full_disk_fails_the_cells_it_concerns(tmp_path: Path) -> None:
    """Files of more than 9 kB cannot be written: the dense network's, and its checkpoints."""
    cells = ended(started(tmp_path, engine="inline", file_bytes=9_000, seeds=(0,), latency=False))
    assert [(cell["method"], cell["status"]) for cell in cells] == [("dense", "failed"), ("magnitude", "done")]
    assert "could not be written" in cells[0]["error"]
    assert not list(tmp_path.glob("cells/dense*/model.gossamer"))
    assert not list(tmp_path.glob("cells/*/.*")), "half a file was left"
