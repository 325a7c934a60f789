"""The command line end to end, on a data set that comes with a library and needs no files."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from gossamer import cli
from gossamer.commands import compare as compare_module
from gossamer.errors import FileError, TrainingError
from gossamer.recipes import Recipe
from gossamer.recipes.changes import Changes

TINY = ["--data", "digits-graph", "--model", "gcn[hidden=8]", "--epochs", "3"]


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gossamer", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("compared")
    methods = ["--methods", "dense,rigl[every=1],magnitude", "--sparsities", "0.5,0.9", "--seeds", "0,1"]
    return out, call("compare", *TINY, *methods, "--out", out, "--json")


def test_compare_prints_one_object_and_nothing_else(
    compared: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = compared
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run == json.loads((out / "run.json").read_text())
    found = {(cell["method"], cell["sparsity"] or None, cell["seed"]) for cell in run["cells"]}
    pruned = {(m, s, seed) for m in ("rigl[every=1]", "magnitude") for s in (0.5, 0.9) for seed in (0, 1)}
    assert found == pruned | {("dense", None, 0), ("dense", None, 1)}
    for cell in run["cells"]:
        assert 0 < cell["quality"]["accuracy"] <= 1
        assert cell["cost"]["bytes"] > 0
        assert cell["settings"]
    assert [cell["settings"][0]["every"] for cell in run["cells"] if "rigl" in cell["method"]] == [1] * 4


def test_compare_writes_its_page_picture_and_networks(
    compared: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = compared
    assert "digits-graph" in (out / "report.html").read_text()
    assert (out / "frontier.svg").read_text().startswith("<svg")
    assert len(list(out.glob("cells/*/model.gossamer"))) == 10


def test_the_same_command_again_trains_nothing(
    compared: tuple[Path, subprocess.CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = compared
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/cell.json")}
    methods = ["--methods", "dense,rigl[every=1],magnitude", "--sparsities", "0.5,0.9", "--seeds", "0,1"]
    assert cli.main(["compare", *TINY, *methods, "--out", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("cells/*/cell.json")} == before
    shown = capsys.readouterr().out
    assert "accuracy" in shown
    assert str(out / "report.html") in shown


def test_report_makes_the_page_again(
    compared: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = compared
    words = ["report", str(out), "--out", str(tmp_path / "p.html"), "--svg", str(tmp_path / "f.svg"), "--json"]
    assert cli.main([*words, "--cost", "macs"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"report": str(tmp_path / "p.html"), "svg": str(tmp_path / "f.svg"), "table": None}
    assert "Multiply-accumulates" in (tmp_path / "f.svg").read_text()


def test_a_network_is_compressed_and_the_file_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compress", *TINY, "--method", "magnitude", "--budget", "nonzeros<=200", "--out", str(tmp_path)]
    assert cli.main([*words, "--json"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert run == json.loads((tmp_path / "run.json").read_text())
    (cell,) = run["cells"]
    assert cell["met_budget"] is True
    assert cell["cost"]["nonzeros"] <= 200 < cell["cost_before"]["nonzeros"]
    assert not (tmp_path / "checkpoints").exists()

    words = ["measure", "--data", "digits-graph", "--model", str(tmp_path / "model.gossamer"), "--json"]
    assert cli.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["costs"]["as saved"]["nonzeros"] == cell["cost"]["nonzeros"]
    assert told["quality"] == cell["quality"]
    assert told["zeros"] is None


def test_zeros_of_activations_and_gradients_are_shown_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["measure", "--data", "digits-graph", "--model", "gcn", "--zeros"]
    assert cli.main(words) == 0
    assert "convs.1.linear" in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["zeros"]
    assert (first["name"], first["kind"]) == ("convs.0.linear", "Linear")
    assert 0.2 < second["inputs"] < 0.8  # behind a ReLU
    assert second["outputs"] == second["weights"] == 0.0


@pytest.mark.parametrize("command", ["methods", "datasets", "doctor"])
def test_lists_are_for_people_and_for_programs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) > 5
    assert not shown.err
    assert cli.main([command, "--json"]) == 0
    told = capsys.readouterr().out
    assert isinstance(json.loads(told), dict)
    assert told.count("\n") == 1


def test_methods_shows_the_settings_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods", "rigl"]) == 0
    assert "sparsity = " in capsys.readouterr().out


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: gossamer {command}" in shown
    assert f"  gossamer {command}" in shown.partition("Examples:")[2]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == cli.main(["--help"]) == cli.main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert all(shown.count(f"\n  {name} ") == 3 for name in cli.COMMANDS)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gossamer ")


def test_recipe_init_writes_what_check_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.toml"
    assert cli.main(["recipe", "init", str(path)]) == 0
    assert f"gossamer compare {path}" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["recipe", "check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "sparsity 0.9" in shown
    assert "networks of gcn on digits-graph" in shown
    assert cli.main(["recipe", "check", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {(cell["method"], cell["setting"]) for cell in told["cells"]} == {("dense", "as it is")} | {
        (method, f"sparsity {value}") for method in ("magnitude", "rigl[every=50]", "often") for value in ("0.5", "0.9")
    }
    assert len(told["cells"]) == 21
    assert cli.main(["recipe", "init", str(path)]) == 2
    assert "r.toml: exists already and is left as it is" in capsys.readouterr().err


def test_options_override_the_recipe_and_flags_go_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('data = "cora"\nmodel = "gcn"\nout = "o"\nlatency = false\n[training]\nepochs = 9\npatience = 4\n')

    def recipe(*words: str) -> Any:
        return cli.read(compare_module.Compare, "compare", list(words)).read()

    given = recipe(str(path), "--latency", "--no-accelerate", "--epochs", "3", "--budgets", "bytes<=1k,macs<=2;macs<=1")
    assert (given.latency, given.accelerate) == (True, False)
    assert (given.training.epochs, given.training.patience) == (3, 4)
    assert given.budgets == ("bytes<=1k,macs<=2", "macs<=1")
    assert recipe("--recipe", str(path)).latency is False
    told = ["--optimizer", "sgd[momentum=0.5]", "--schedule", "cosine", "--no-keep-best", "--precision", "32-true"]
    made = recipe(str(path), *told, "--methods", "dense,rigl[every=2]", "--data", "a.csv", "--columns", "source,target")
    assert made.trains().optimizer.to_json()["momentum"] == 0.5
    assert (made.trains().keep_best, made.columns) == (False, ("source", "target"))
    assert [choice.label for choice in made.methods] == ["dense", "rigl[every=2]"]


def test_compare_has_an_option_for_every_key_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for kind in (Recipe, Changes):
        for field in dataclasses.fields(kind):
            if field.name != "training":
                assert f"--{field.name.replace('_', '-')} " in shown.replace("--no-", "--"), field.name
                assert field.metadata["doc"].split(",")[0] in shown, field.name


BAD = {
    "no data": (["compare", "--model", "gcn", "--out", "o"], "compare needs --data (or --task), or a recipe file"),
    "two recipes": (["compare", "a.toml", "--recipe", "b.toml"], "two recipes are given, a.toml and b.toml"),
    "a missing recipe": (["compare", "a.toml"], "a.toml: could not be read"),
    "no recipe to check": (["recipe", "check"], "recipe check needs a file"),
    "a wrong action": (["recipe", "chek", "a.toml"], "recipe: "),
    "an example in YAML": (["recipe", "init", "a.yaml"], "a.yaml: the example is TOML"),
    "data and task": (["measure", *TINY[:4], "--task", "a:b"], "--data and --task exclude each other"),
    "no file of ones own": (["measure", "--task", "own.py:t", "--model", "gcn"], "own.py:t: there is no file"),
    "no module of ones own": (["measure", *TINY[:2], "--model", "ownx.y:Net"], "there is no module 'ownx'"),
    "missing weights": (["measure", *TINY[:4], "--weights", "no.gossamer"], "no.gossamer: could not be read"),
    "an unknown optimiser": (["compare", *TINY, "--out", "o", "--optimizer", "adm"], "did you mean 'adam'"),
    "an unknown engine": (["compare", *TINY, "--out", "o", "--engine", "lokal"], "expected one of 'local'"),
    "a method to show": (["methods", "riggl"], "unknown method 'riggl'; did you mean 'rigl'"),
    "an unknown command": (["compar"], "unknown command 'compar'; did you mean 'compare'"),
    "an unknown option": (["compare", "--dta", "cora"], "compare: unknown option --dta; did you mean --data?"),
    "a missing option": (["compare", "--data", "cora"], "compare needs --model and --out"),
    "a missing value": (["compare", *TINY, "--out"], "compare: "),
    "a missing place": (["report"], "report: "),
    "a stray word": (["compare", *TINY, "--out", "o", "extra"], "extra"),
    "a wrong number": (["compare", *TINY[:4], "--out", "o", "--epochs", "ten"], "--epochs: 'ten' is not a whole"),
    "wrong numbers": (["compare", *TINY, "--out", "o", "--seeds", "0,b"], "--seeds: 'b' is not a whole number"),
    "an unknown data set": (["measure", "--data", "coar", "--model", "gcn"], "did you mean 'cora'"),
    "an unknown network": (["measure", "--data", "digits-graph", "--model", "gcnn"], "did you mean 'gcn'"),
    "an unknown argument": (["measure", "--data", "digits-graph", "--model", "gcn[hiden=3]"], "'hidden'"),
    "two networks": (["measure", "--data", "digits-graph", "--model", "gcn,gat"], "one network, found 2"),
    "an unknown method": (["compare", *TINY, "--out", "o", "--methods", "riggl"], "did you mean 'rigl'"),
    "a wrong sparsity": (
        ["compare", *TINY, "--out", "o", "--methods", "rigl", "--sparsities", "1.5"],
        "sparsities[0] is 1.5",
    ),
    "an unknown setting": (["compare", *TINY, "--out", "o", "--methods", "rigl[evry=3]"], "did you mean 'every'"),
    "two aims": (
        ["compress", *TINY, "--out", "o", "--sparsity", "0.5", "--budget", "bytes<=1k"],
        "exclude each other",
    ),
    "no knob": (["compress", *TINY, "--out", "o", "--method", "dense", "--sparsity", "0.5"], "nothing to set"),
    "a wrong budget": (["compress", *TINY, "--out", "o", "--budget", "byts<=1k"], "did you mean 'bytes'"),
    "a folder that is a file": (["compare", *TINY, "--out", "/dev/null/o"], "choose another --out"),
    "a missing run": (["report", "not/there"], "not/there: could not be read"),
    "a missing edge list": (["measure", "--data", "not/there.csv", "--model", "gcn"], "not/there.csv"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.startswith("gossamer: ")
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (FileError("run.json: is not JSON"), 2, "run.json: is not JSON"),
        (TrainingError("two\nlines"), 2, "two lines"),
        (OSError(28, "No space left on device", "/out"), 2, "/out: No space left on device; check that"),
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on"),
        (KeyError("x"), 1, "a fault of gossamer's own, KeyError: 'x'; set GOSSAMER_TRACEBACK=1"),
    ],
)
def test_every_error_is_one_line_with_its_exit_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise error

    monkeypatch.delenv("GOSSAMER_TRACEBACK", raising=False)
    monkeypatch.setattr(compare_module.Compare, "run", fail)
    assert cli.main(["compare", *TINY, "--out", "unused"]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"gossamer: {message}")
    assert said.count("\n") == 1


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(*_: Any) -> dict[str, Any]:
        warnings.warn("a checkpoint\nwas not written", RuntimeWarning, stacklevel=1)
        return {"cells": []}

    monkeypatch.setattr(compare_module.Compare, "run", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert cli.main(["compare", *TINY, "--out", "unused", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "gossamer: warning: a checkpoint was not written\n"
    assert json.loads(said.out) == {"cells": []}


def test_ctrl_c_stops_with_130_and_keeps_what_is_finished(tmp_path: Path) -> None:
    seeds = ",".join(map(str, range(50)))
    words = ["compare", *TINY, "--methods", "dense", "--seeds", seeds, "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "gossamer", *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob("cells/*/cell.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "goes on from" in said
    finished = [json.loads(path.read_text())["status"] for path in tmp_path.glob("cells/*/cell.json")]
    assert 1 <= len(finished) < 50
    assert set(finished) == {"trained"}, "times are taken when all is trained"
    assert json.loads((tmp_path / "run.json").read_text())["cells"] == [], "what was finished at the start: nothing"


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gossamer", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
