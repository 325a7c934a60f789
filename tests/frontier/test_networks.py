from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from gossamer import models
from gossamer.cost import Budget
from gossamer.deploy import load, save
from gossamer.errors import FileError, SettingError
from gossamer.frontier import Frontier
from tests.frontier.records import cell, frontier


@pytest.fixture
def made(tmp_path: Path) -> Frontier:
    """Three seeds on disk; the second is the best on validation, the third on test, the first the smallest."""
    cells = []
    for seed, (validation, size) in enumerate([(0.7, 90), (0.9, 120), (0.8, 99)]):
        one = cell("rigl", 0.9, seed, 0.5 + 0.1 * seed, size, validation={"accuracy": validation})
        folder = tmp_path / "run" / "cells" / one["id"]
        torch.manual_seed(seed)
        save(folder / "model.gossamer", models.build("mlp", in_features=4, out_features=2, hidden=3))
        cells.append(one)
    frontier(cells).save(tmp_path / "run" / "run.json")
    return Frontier.load(tmp_path / "run")


def first_weight(path: Path) -> torch.Tensor:
    return next(iter(load(path).state_dict().values()))


def test_the_best_seed_by_validation_is_copied(made: Frontier, tmp_path: Path) -> None:
    (point,) = made.points()
    assert made.export(point, tmp_path / "net.gossamer")["seed"] == 1
    assert made.folder is not None
    source = made.folder / "cells" / "rigl-0.9-1" / "model.gossamer"
    assert (tmp_path / "net.gossamer").read_bytes() == source.read_bytes()
    assert torch.equal(first_weight(tmp_path / "net.gossamer"), first_weight(source))


def test_under_a_budget_only_seeds_within_it_count(made: Frontier, tmp_path: Path) -> None:
    assert made.export(None, tmp_path / "net.gossamer")["seed"] == 1
    assert made.export(Budget.parse("bytes<=110"), tmp_path / "net.gossamer")["seed"] == 2
    with pytest.raises(SettingError, match="no network is within"):
        made.export(Budget.parse("bytes<=95"), tmp_path / "other.gossamer")
    assert not (tmp_path / "other.gossamer").exists()


def test_other_forms_go_through_deploy_export(made: Frontier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    stub = types.ModuleType("gossamer.deploy.export")
    stub.export = lambda model, example, path: calls.append((model, example, path))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gossamer.deploy.export", stub)
    example = (torch.zeros(1, 4),)
    made.export(None, tmp_path / "net.onnx", example=example)
    ((model, given, path),) = calls
    assert (given, path) == (example, tmp_path / "net.onnx")
    assert model(*example).shape == (1, 2)


def test_what_cannot_be_exported_is_said(made: Frontier, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"ends in \.gossamer, \.onnx or \.pt2"):
        made.export(None, tmp_path / "net.h5")
    with pytest.raises(SettingError, match="give an example"):
        made.export(None, tmp_path / "net.onnx")
    with pytest.raises(FileError, match="not on disk"):
        Frontier(run=made.run, cells=made.cells).export(None, tmp_path / "net.gossamer")
    assert made.folder is not None
    (made.folder / "cells" / "rigl-0.9-1" / "model.gossamer").unlink()
    with pytest.raises(FileError, match="run the comparison again"):
        made.export(None, tmp_path / "net.gossamer")
