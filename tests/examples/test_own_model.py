"""The examples of models and data of one's own run through the command line as they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gossamer import cli
from gossamer.recipes import Recipe

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = ["--task", f"{EXAMPLES}/own_model.py:make_task", "--model", f"{EXAMPLES}/own_model.py:Net[channels=4]"]
PYG = ["--task", f"{EXAMPLES}/own_pyg_model.py:data", "--model", f"{EXAMPLES}/own_pyg_model.py:Net"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs in an empty folder, and forgets what was imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield
    for name in ("own_model", "own_pyg_model"):
        sys.modules.pop(name, None)


def test_the_recipe_runs_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", f"{EXAMPLES}/own_model.toml", "--seeds", "1", "--out", "runs", "--epochs", "4", "--json"]
    assert cli.main(words) == 0
    run = json.loads(capsys.readouterr().out)
    assert {cell["method"]: cell["status"] for cell in run["cells"]} == dict.fromkeys(
        ["dense", "magnitude", "RigL"], "done"
    )
    assert (run["data"], run["model"]) == ("own_model.py:make_task", "own_model.py:Net[channels=16]")
    assert run["training"]["optimizer"]["learning_rate"] == 0.003
    assert all(cell["quality"]["accuracy"] > 0.3 for cell in run["cells"]), "ten classes"
    assert "gossamer compare recipe.toml" in Path("runs/report.html").read_text()
    written = Recipe.load("runs/recipe.toml")
    assert (written.seeds, written.training.epochs, written.out) == ((1,), 4, Path("runs"))

    before = {path: path.stat().st_mtime_ns for path in Path("runs").glob("cells/*/cell.json")}
    assert cli.main(["compare", "runs/recipe.toml"]) == 0
    assert {path: path.stat().st_mtime_ns for path in Path("runs").glob("cells/*/cell.json")} == before


def test_compress_and_measure_take_the_same_references(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compress", *OWN, "--method", "magnitude", "--sparsity", "0.8", "--epochs", "2", "--out", "small"]
    assert cli.main([*words, "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cli.main(["measure", *OWN, "--json"]) == 0
    assert "as saved" not in json.loads(capsys.readouterr().out)["costs"]
    assert cli.main(["measure", *OWN, "--weights", "small/model.gossamer", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["quality"] == cell["quality"]
    assert told["costs"]["as saved"]["nonzeros"] == cell["cost"]["nonzeros"]
    assert cli.main(["measure", *OWN[:2], "--model", "small/model.gossamer"]) == 2
    assert "name its class too: --model file.py:Class --weights small/model.gossamer" in capsys.readouterr().err


def test_a_pyg_network_on_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", *PYG, "--methods", "rigl", "--sparsities", "0.5", "--seeds", "0", "--epochs", "4"]
    assert cli.main([*words, "--out", "runs"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "rigl: No weight was moved: updates come every 50 steps, and training has 4. Set 'every' to 1" in shown


def test_a_folder_of_another_file_of_the_same_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("here").mkdir()
    for folder in (".", "here"):
        Path(folder, "own_model.py").write_text((EXAMPLES / "own_model.py").read_text())
    options = ["--methods", "dense", "--seeds", "0", "--epochs", "1", "--out", "runs"]
    task = ["--task", f"{EXAMPLES}/own_model.py:make_task"]
    assert cli.main(["compare", *task, "--model", "own_model.py:Net", *options]) == 0
    assert cli.main(["compare", *task, "--model", "./own_model.py:Net", *options]) == 0
    capsys.readouterr()
    assert cli.main(["compare", *task, "--model", "here/own_model.py:Net", *options]) == 2
    said = capsys.readouterr().err
    assert "runs holds results of model own_model.py:Net, not of here/own_model.py:Net; choose another --out" in said
