"""Worker processes: what is sent to them, what they say, and how many there are."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from torch import nn

from gossamer.compression import compare, parse_methods
from gossamer.compression.cell import Cell, Work
from gossamer.compression.engines.local import Local
from gossamer.compression.engines.memory import Memory
from gossamer.compression.engines.worker import output_to
from gossamer.compression.folder import Folder
from gossamer.errors import SettingError
from gossamer.train import Training
from tests.battery.networks import SequenceTask

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # pytest's names of test modules are no importable ones


def run(out: Path, factory: Any, **changes: Any) -> tuple[dict[str, Any], ...]:
    options: dict[str, Any] = {"seeds": (0,), "training": Training(epochs=1), "workers": 1, "progress": False}
    methods = changes.pop("methods", parse_methods("dense"))
    return compare(
        factory, SequenceTask(), methods, out=out, latency=False, accelerate=False, **options, **changes
    ).cells


def test_what_cannot_be_sent_is_said_before_anything_starts(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(SettingError, match=r"cannot be sent to another process .*lock"):
        run(tmp_path, lambda: (lock, nn.Linear(1, 1))[1])


class OnlyHere:
    """Can be sent, and not received."""

    def __reduce__(self) -> Any:
        return (__import__, ("a_module_of_this_process",))


def test_what_a_worker_cannot_load_is_said(tmp_path: Path) -> None:
    only = OnlyHere()
    with pytest.raises(SettingError, match=r"cannot load .*a_module_of_this_process"):
        run(tmp_path, lambda: (only, nn.Linear(1, 1))[1])


def noisy() -> nn.Module:
    """Says something in every way there is."""
    print("printed")
    warnings.warn("warned", UserWarning, stacklevel=1)
    subprocess.run(["echo", "said by another process"], check=True)
    return nn.Sequential(nn.Flatten(), nn.Linear(160, 4))


def test_every_cell_has_what_it_said_in_its_own_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cells = run(tmp_path, noisy, methods=parse_methods("dense,magnitude"))
    assert len(cells) == 2
    for cell in cells:
        log = (tmp_path / "cells" / cell["id"] / "log.txt").read_text()
        assert [log.count(said) for said in ("printed\n", "UserWarning: warned", "said by another process\n")] == [
            1
        ] * 3
    shown = capfd.readouterr()
    assert "warned" not in shown.err


def test_output_returns_to_its_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with output_to(tmp_path / "log"):
        subprocess.run(["echo", "inside"], check=True)
    with output_to(tmp_path / "no" / "folder"):
        subprocess.run(["echo", "lost"], check=True)
    subprocess.run(["echo", "outside"], check=True)
    assert (tmp_path / "log").read_text() == "inside\n"
    assert capfd.readouterr().out == "outside\n"


class Full(Memory):
    """Has room for no second worker."""

    def fits_another(self, workers: Sequence[int]) -> bool:
        return not workers


def test_no_more_workers_than_memory_has_room_for(tmp_path: Path) -> None:
    work = Work(
        factory=lambda: nn.Sequential(nn.Flatten(), nn.Linear(160, 4)),
        task=SequenceTask(),
        training=Training(epochs=1),
        accelerate=False,
        latency=False,
        threads=1,
        measuring_threads=1,
    )
    dense = parse_methods("dense")["dense"]
    cells = [Cell(label="dense", method=dense, seed=seed, budget=None, id=f"dense-{seed}") for seed in range(3)]
    with Local(work, cells, Folder(tmp_path), at_most=3, memory=Full()) as engine:
        records = dict(engine.run("train", iter(cells)))
        assert len(engine._workers) == 1
    assert [records[cell]["status"] for cell in cells] == ["done"] * 3
    assert not engine._workers
