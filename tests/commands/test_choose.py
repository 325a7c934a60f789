from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from gossamer import cli, models
from gossamer.deploy import save
from tests.frontier.records import cells, frontier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run on disk: dense with three seeds, and a slim network a point below it."""
    made = frontier(
        cells("dense", [0.80, 0.82, 0.81], 1000, latencies=[2.0, 2.0, 2.1]),
        cells("slim", [0.80, 0.81, 0.808], 100, latencies=[1.0, 1.0, 1.1]),
        data="digits-graph",
        model="gcn",
    )
    out = tmp_path / "run"
    for cell in made.cells:
        network = models.build("gcn", in_features=64, out_features=10, hidden=4)
        save(out / "cells" / cell["id"] / "model.gossamer", network)
    made.save(out / "run.json")
    return out


def test_the_choice_and_its_reasons_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["choose", str(folder)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Best quality: dense has the best validation accuracy of 2" in shown
    assert "Smallest that is level with dense: slim 90 %" in shown
    assert shown.endswith("Chosen: slim 90 %, seed 1"), "the smallest that is level"


def test_a_budget_chooses_and_the_best_seed_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "net.gossamer"
    assert cli.main(["choose", str(folder), "--budget", "bytes<=500", "--export", str(target), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["chosen"], told["seed"], told["export"]) == ("slim 90 %", 1, str(target))
    assert told["cost"]["bytes"] == 100
    assert target.read_bytes() == (folder / "cells" / told["id"] / "model.gossamer").read_bytes()


def test_other_forms_get_the_example_of_the_runs_data(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    stub = types.ModuleType("gossamer.deploy.export")
    stub.export = lambda model, example, path: calls.append(model(*example).shape[-1])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gossamer.deploy.export", stub)
    assert cli.main(["choose", str(folder), "--export", str(tmp_path / "net.onnx")]) == 0
    assert calls == [10]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "bytes<=10"], "no network is within the budget; nearest is slim 90 % (bytes 100 over 10)"),
        (["--budget", "bytes"], "cannot read 'bytes'"),
        (["--export", "net.h5"], "ends in .gossamer, .onnx or .pt2"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["choose", str(folder), *words, "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1
