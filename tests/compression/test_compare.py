from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from gossamer.compression import Frontier, compare, parse_methods
from gossamer.errors import FileError, SettingError, TrainingError
from gossamer.train import Training
from tests.battery.networks import NETWORKS

MLP = NETWORKS[0]
module = importlib.import_module("gossamer.compression.compare")  # the package's attribute is the function
METHODS = parse_methods("dense,magnitude")


def run(out: Path, **changes: Any) -> Frontier:
    options: dict[str, Any] = {
        "out": out,
        "sparsities": (0.5, 0.9),
        "seeds": (0, 1),
        "training": Training(epochs=1),
        "latency": False,
        "accelerate": False,
        "progress": False,
        "names": {"data": "images", "model": "mlp"},
    }
    return compare(MLP.model, MLP.task(), METHODS, **(options | changes))


def timeless(frontier: Frontier) -> list[dict[str, Any]]:
    cells = json.loads(json.dumps(frontier.cells))
    for cell in cells:
        cell["history"]["seconds"] = 0
    return cells  # type: ignore[no-any-return]


def test_runs_every_cell_once_and_writes_the_run(tmp_path: Path) -> None:
    frontier = run(tmp_path)
    figures = [(cell["method"], cell["sparsity"], cell["seed"]) for cell in frontier.cells]
    assert figures == [
        ("dense", 0.0, 0),
        ("dense", 0.0, 1),
        *(("magnitude", sparsity, seed) for sparsity in (0.5, 0.9) for seed in (0, 1)),
    ]
    assert all(cell["status"] == "done" and "accuracy" in cell["quality"] for cell in frontier.cells)
    assert Frontier.load(tmp_path / "run.json") == frontier
    assert len(list(tmp_path.glob("cells/*/model.gossamer"))) == 6
    assert not list(tmp_path.glob("cells/*/checkpoints"))


def test_methods_start_from_the_same_weights(tmp_path: Path) -> None:
    cells = run(tmp_path, seeds=(7,)).cells
    assert len({json.dumps(cell["quality_before"]) for cell in cells}) == 1


def test_a_stopped_comparison_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = module.compress

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(options["label"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(module, "compress", counted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped")
    again = run(tmp_path / "stopped")
    assert len(calls) == 4 + 3, "finished cells were run again"
    monkeypatch.undo()
    assert timeless(again) == timeless(run(tmp_path / "straight"))


def test_a_failing_cell_is_recorded_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = module.compress

    def diverges(*arguments: Any, **options: Any) -> Any:
        if options["label"] == "magnitude":
            raise TrainingError("the loss is not a number at epoch 0, step 1")
        return original(*arguments, **options)

    monkeypatch.setattr(module, "compress", diverges)
    failed = [cell for cell in run(tmp_path).cells if cell["status"] == "failed"]
    assert len(failed) == 4
    assert "not a number" in failed[0]["error"]
    monkeypatch.undo()
    assert all(cell["status"] == "done" for cell in run(tmp_path).cells)


def test_other_settings_do_not_reuse_cells(tmp_path: Path) -> None:
    run(tmp_path, seeds=(0,), sparsities=(0.5,))
    run(tmp_path, seeds=(0,), sparsities=(0.5,), training=Training(epochs=2))
    assert len(list(tmp_path.glob("cells/*/cell.json"))) == 4


def test_bad_plans_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"1\.5"):
        run(tmp_path / "range", sparsities=(0.5, 1.5))
    with pytest.raises(SettingError, match="at least one method"):
        run(tmp_path / "empty", seeds=())
    assert not list(tmp_path.iterdir())


def test_a_foreign_cell_file_is_named(tmp_path: Path) -> None:
    run(tmp_path, seeds=(0,), sparsities=(0.5,))
    target = sorted(tmp_path.glob("cells/*/cell.json"))[0]
    target.write_text("{")
    with pytest.raises(FileError, match=r"cell\.json"):
        run(tmp_path, seeds=(0,), sparsities=(0.5,))


def test_the_task_may_depend_on_the_seed(tmp_path: Path) -> None:
    seen: list[int] = []

    def task(seed: int) -> Any:
        seen.append(seed)
        return MLP.task()

    model: Any = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4))  # noqa: E731
    compare(
        model,
        task,
        METHODS,
        out=tmp_path,
        seeds=(3, 5),
        training=Training(epochs=0),
        latency=False,
        accelerate=False,
        progress=False,
    )
    assert seen == [3, 5]
