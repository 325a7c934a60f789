"""What a comparison runs, writes and returns, whichever engine runs it: here in this process."""

from __future__ import annotations

import errno
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gossamer.compression import Compression, Method, compare, parse_methods
from gossamer.compression.folder import Folder
from gossamer.errors import FileError, SettingError, TrainingError
from gossamer.frontier import Frontier
from gossamer.train import Interrupted, Training
from tests.battery.networks import NETWORKS
from tests.compression.sweeps import timeless

MLP = NETWORKS[0]
cell_module = importlib.import_module("gossamer.compression.cell")
METHODS = parse_methods("dense,magnitude")


def run(out: Path, methods: dict[str, Method] = METHODS, **changes: Any) -> Frontier:
    options: dict[str, Any] = {
        "out": out,
        "sparsities": (0.5, 0.9),
        "seeds": (0, 1),
        "training": Training(epochs=1),
        "engine": "inline",
        "latency": False,
        "accelerate": False,
        "progress": False,
        "names": {"data": "images", "model": "mlp"},
    }
    return compare(MLP.model, MLP.task(), methods, **(options | changes))


def replace_compress(monkeypatch: pytest.MonkeyPatch, before: Callable[[str], None]) -> None:
    """Has `before` called with the label of each cell that trains."""
    original = cell_module.compress

    def replaced(*arguments: Any, **options: Any) -> Any:
        before(options["label"])
        return original(*arguments, **options)

    monkeypatch.setattr(cell_module, "compress", replaced)


def test_runs_every_cell_once_and_writes_the_run(tmp_path: Path) -> None:
    frontier = run(tmp_path)
    figures = [(cell["method"], cell["sparsity"], cell["seed"]) for cell in frontier.cells]
    assert figures == [
        ("dense", 0.0, 0),
        ("dense", 0.0, 1),
        *(("magnitude", sparsity, seed) for sparsity in (0.5, 0.9) for seed in (0, 1)),
    ]
    assert all(cell["status"] == "done" and "accuracy" in cell["quality"] for cell in frontier.cells)
    assert all(cell["seconds"]["train"] > 0 and cell["budget"] is None for cell in frontier.cells)
    assert Frontier.load(tmp_path / "run.json") == frontier
    assert len(list(tmp_path.glob("cells/*/model.gossamer"))) == 6
    assert not list(tmp_path.glob("cells/*/checkpoints"))
    log = next(tmp_path.glob("cells/dense-seed0-*/log.txt")).read_text()
    assert "train: dense seed 0" in log
    assert "accuracy" in log


def test_times_are_taken_when_all_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[str] = []
    original = cell_module.Runner.run

    def noted(self: Any, stage: str, *arguments: Any) -> Any:
        stages.append(stage)
        return original(self, stage, *arguments)

    monkeypatch.setattr(cell_module.Runner, "run", noted)
    frontier = run(tmp_path, seeds=(0,), latency=True, accelerate=True)
    assert stages == ["train"] * 3 + ["measure"] * 3
    for cell in frontier.cells:
        assert cell["cost"]["latency_ms"] > 0
        assert cell["cost_before"]["latency_ms"] > 0
        assert cell["cost"]["training_macs"] > 0
        assert cell["seconds"]["train"] > 0
        assert cell["seconds"]["measure"] > 0
        assert all(layer["reason"] != "not timed" for layer in cell["layers"])


def test_what_was_trained_is_measured_without_training_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell_module, "deployed_cost", stop)
    with pytest.raises(Interrupted, match="0 of 3 cells finished; the same call goes on"):
        run(tmp_path, seeds=(0,), latency=True)
    monkeypatch.undo()
    replace_compress(monkeypatch, stop)
    assert all(cell["cost"]["latency_ms"] > 0 for cell in run(tmp_path, seeds=(0,), latency=True).cells)


class Doubled(nn.Module):
    """Holds another network, so that no file of it fits the class it was made from."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x)
        return out


class Wrapped(Compression):
    """Ends with another class than it began with."""

    def finish(self) -> nn.Module:
        return Doubled(self.model)


class Wrapping(Method):
    """Starts it."""

    def start(self, model: nn.Module, task: Any, *, epochs: int) -> Compression:
        del task
        return Wrapped(model, epochs=epochs)


def test_a_network_that_cannot_be_read_back_is_kept_and_not_timed(tmp_path: Path) -> None:
    (cell,) = run(tmp_path, {"wrapping": Wrapping()}, seeds=(0,), latency=True).cells
    assert cell["status"] == "done"
    assert cell["cost"]["latency_ms"] is None
    assert "not timed" in cell["notes"][0]


def test_methods_start_from_the_same_weights(tmp_path: Path) -> None:
    cells = run(tmp_path, seeds=(7,)).cells
    assert len({json.dumps(cell["quality_before"]) for cell in cells}) == 1


def test_a_stopped_comparison_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def fourth_is_the_last(label: str) -> None:
        calls.append(label)
        if len(calls) == 4:
            raise KeyboardInterrupt

    replace_compress(monkeypatch, fourth_is_the_last)
    with pytest.raises(Interrupted, match="3 of 6 cells"):
        run(tmp_path / "stopped")
    again = run(tmp_path / "stopped")
    assert len(calls) == 4 + 3, "finished cells were run again"
    monkeypatch.undo()
    assert timeless(again.cells) == timeless(run(tmp_path / "straight").cells)


@pytest.mark.parametrize("error", [TrainingError("the loss is not a number\nat step 1"), TypeError("a bug")])
def test_a_failing_cell_is_recorded_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(label: str) -> None:
        if label == "magnitude":
            raise error

    replace_compress(monkeypatch, fails)
    failed = [cell for cell in run(tmp_path).cells if cell["status"] == "failed"]
    assert len(failed) == 4
    assert failed[0]["error"] == f"{type(error).__name__}: {error}".splitlines()[0]
    assert "Traceback" in (tmp_path / failed[0]["log"]).read_text()
    monkeypatch.undo()
    assert all(cell["status"] == "done" for cell in run(tmp_path).cells)


def test_a_quality_that_json_lacks_fails_its_cell_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = MLP.task()
    original = task.evaluate
    seen: list[str] = []

    def undefined(model: nn.Module, split: Any) -> dict[str, float]:
        seen.append(split)
        return {"accuracy": float("nan")} if len(seen) == 1 else original(model, split)

    monkeypatch.setattr(task, "evaluate", undefined)
    first, second = compare(
        MLP.model, task, METHODS, out=tmp_path, seeds=(0,), training=Training(epochs=1), engine="inline",
        latency=False, accelerate=False, progress=False,
    ).cells  # fmt: skip
    assert first["status"] == "failed"
    assert "JSON" in first["error"]
    assert second["status"] == "done"


def test_a_record_that_finds_the_disk_full_fails_its_cell_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Folder.write

    def full(self: Folder, cell: Any, record: Any) -> None:
        if cell.label == "magnitude":
            raise FileError(f"{self.of(cell)}/cell.json: could not be written ({os.strerror(errno.ENOSPC)})")
        original(self, cell, record)

    monkeypatch.setattr(Folder, "write", full)
    cells = run(tmp_path, sparsities=(0.5,)).cells
    assert [cell["status"] for cell in cells] == ["done", "done", "failed", "failed"]
    assert "No space left" in cells[2]["error"]
    monkeypatch.undo()
    assert all(cell["status"] == "done" for cell in run(tmp_path, sparsities=(0.5,)).cells)


def test_other_settings_do_not_reuse_cells(tmp_path: Path) -> None:
    run(tmp_path, seeds=(0,), sparsities=(0.5,))
    run(tmp_path, seeds=(0,), sparsities=(0.5,), training=Training(epochs=2))
    assert len(list(tmp_path.glob("cells/*/cell.json"))) == 4


def test_bad_plans_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"1\.5"):
        run(tmp_path / "range", sparsities=(0.5, 1.5))
    with pytest.raises(SettingError, match="at least one method"):
        run(tmp_path / "empty", seeds=())
    with pytest.raises(SettingError, match="did you mean 'inline'"):
        run(tmp_path / "engine", engine="inlin")
    with pytest.raises(SettingError, match="workers is 0"):
        run(tmp_path / "workers", workers=0)
    with pytest.raises(SettingError, match="did you mean 'bytes'"):
        run(tmp_path / "budget", budgets=("byts<=3",))
    assert not list(tmp_path.iterdir())


def test_a_foreign_cell_file_is_named(tmp_path: Path) -> None:
    run(tmp_path, seeds=(0,), sparsities=(0.5,))
    target = sorted(tmp_path.glob("cells/*/cell.json"))[0]
    target.write_text("{")
    with pytest.raises(FileError, match=r"cell\.json"):
        run(tmp_path, seeds=(0,), sparsities=(0.5,))


def test_the_task_is_made_once_a_seed_and_results_do_not_depend_on_the_order(tmp_path: Path) -> None:
    seen: list[int] = []

    def task(seed: int) -> Any:
        seen.append(seed)
        return MLP.task()

    model: Any = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4))  # noqa: E731
    options: dict[str, Any] = {"training": Training(epochs=1), "engine": "inline", "latency": False}
    options |= {"accelerate": False, "progress": False}
    there = compare(model, task, METHODS, out=tmp_path / "there", seeds=(3, 5), **options).cells
    assert sorted(seen) == [3, 3, 5], "once for the run's description, once for each seed's cells"
    backwards = dict(reversed(METHODS.items()))
    back = compare(model, task, backwards, out=tmp_path / "back", seeds=(5, 3), **options).cells
    assert timeless(there) == sorted(timeless(back), key=lambda cell: (cell["method"], cell["seed"]))


def test_budgets_turn_the_knob_and_are_searched_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"sparsities": (0.5,), "budgets": ("nonzeros<=700", "nonzeros<=1"), "seeds": (0, 1)}
    frontier = run(tmp_path, **options)
    cells = [cell for cell in frontier.cells if cell["budget"] == "nonzeros<=700"]
    assert [cell["method"] for cell in frontier.cells] == ["dense"] * 2 + ["magnitude"] * 6
    assert all(cell["met_budget"] and 600 < cell["cost"]["nonzeros"] <= 700 for cell in cells)
    (nearest, _) = [cell for cell in frontier.cells if cell["budget"] == "nonzeros<=1"]
    assert nearest["met_budget"] is False
    assert "nearest network" in nearest["notes"][-1]
    assert [point.budget for point in frontier.points()] == [None, None, "nonzeros<=700", "nonzeros<=1"]
    found = json.loads(next(tmp_path.glob("settings/magnitude-nonzeros-700*.json")).read_text())
    assert found["met"]
    assert len(found["trials"]) > 2

    monkeypatch.setattr(importlib.import_module("gossamer.compression.budgets"), "settle", None)
    assert run(tmp_path, **options).cells == frontier.cells
