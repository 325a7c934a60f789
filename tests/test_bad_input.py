"""What users get wrong, each answered by one line that says what was found, what was expected and what to do."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import gossamer
from gossamer import cli
from gossamer.errors import DataError, ModelError
from gossamer.graph import csbm
from gossamer.models import build
from gossamer.tasks import NodeClassification

EDGE_LISTS = {
    "a malformed line": ("a,b\n1,2\n2,3\n3;4\n", r"line 4: 1 columns, in '3;4'; expected 2 columns separated by ','"),
    "a negative id": ("0,1\n1,2\n-3,4\n", r"line 3: source '-3' is negative"),
    "an id that is no number": ("0,1\n1,x\n2,3\n4,5\n", r"line 2: target 'x' is not an integer"),
    "an empty file": ("", r"is empty; expected lines with a source and a target"),
    "only comments": ("# nothing\n", r"only comments; expected lines"),
    "columns without names": ("1 2 3\n2 3 4\n", r"3 columns without names.*columns="),
}


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Runs the command line, expects exit code 2 and one line, and returns that line."""
    assert cli.main(words) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("gossamer: ")
    assert streams.err.count("\n") == 1
    return streams.err


@pytest.mark.parametrize(("content", "message"), EDGE_LISTS.values(), ids=EDGE_LISTS.keys())
def test_edge_lists(content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(content)
    line = said(["compress", "--data", str(path), "--model", "gcn", "--out", str(tmp_path / "out")], capsys)
    assert str(path) in line
    assert re.search(message, line), line
    assert not (tmp_path / "out").exists()


def test_a_truncated_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edges.csv.gz"
    path.write_bytes(gzip.compress(b"0,1\n1,2\n" * 1000)[:40])
    line = said(["compress", "--data", str(path), "--model", "gcn", "--out", str(tmp_path / "out")], capsys)
    assert "gzip content is truncated or damaged" in line


def test_features_that_are_not_numbers() -> None:
    graph = csbm(200, 4, 16, seed=0)
    assert isinstance(graph.x, torch.Tensor)
    graph.x[5, 3] = float("nan")
    with pytest.raises(DataError, match=r"1 .*node 5.*column 3"):
        NodeClassification.from_graph(graph, per_class=10, val_per_class=10)


def test_labels_out_of_range() -> None:
    graph = csbm(200, 4, 16, seed=0)
    assert graph.y is not None
    graph.y[7] = 9
    with pytest.raises(DataError, match=r"1 are out of range, the first at row 7 with value 9; expected 0\.\.3"):
        NodeClassification.from_graph(graph, per_class=10, val_per_class=10, classes=4)


def test_a_model_that_answers_something_else() -> None:
    task = NodeClassification.from_graph(csbm(200, 4, 16, seed=0), per_class=10, val_per_class=10)
    with pytest.raises(ModelError, match=r"returned shape \(200, 3\), expected .*\(200, 4\)"):
        gossamer.compress(build("gcn", in_features=16, hidden=8, out_features=3), task, gossamer.method("rigl"))


def test_a_sparsity_of_more_than_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compress", "--data", "digits-graph", "--model", "gcn", "--sparsity", "1.5", "--out", str(tmp_path)]
    assert "sparsity is 1.5; expected a number at least 0 and below 1" in said(words, capsys)


def test_a_budget_that_cannot_be_met_gives_the_nearest_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compress", "--data", "digits-graph", "--model", "gcn", "--epochs", "2", "--budget", "bytes<=50"]
    assert cli.main([*words, "--out", str(tmp_path), "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cell["met_budget"] is False
    assert cell["cost"]["bytes"] < 1000
    assert any("budget is not met" in note for note in cell["notes"])
    assert (tmp_path / "model.gossamer").exists()


def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    words = ["compare", "--data", "digits-graph", "--model", "gcn", "--out", str(tmp_path / "out")]
    assert "could not be written (No space left on device); free space" in said(words, capsys)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "half a file was left behind"


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    words = ["compare", "--data", "digits-graph", "--model", "gcn", "--methods", "dense,rigl,gradual", "--seeds", "0,1"]
    words += ["--sparsities", "0.9", "--epochs", "20", "--json"]
    command = [sys.executable, "-m", "gossamer", *words]

    def finish(out: Path) -> list[dict[str, Any]]:
        done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=True)
        return [
            {key: cell[key] for key in ("id", "quality", "validation", "measured_sparsity", "layers")}
            for cell in strip(json.loads(done.stdout)["cells"])
        ]

    def strip(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Takes out what is timed."""
        keep = ("name", "shape", "nonzeros")
        return [cell | {"layers": [{key: layer[key] for key in keep} for layer in cell["layers"]]} for cell in cells]

    process = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("killed/cells/*/cell.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert finish(tmp_path / "killed") == finish(tmp_path / "straight")


def test_a_short_command_that_read_a_file_ends_in_peace(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text("0,1\n-3,4\n")
    script = f"from gossamer.graph import read_edges\ntry: read_edges({str(path)!r})\nexcept ValueError: pass"
    for _ in range(3):
        subprocess.run([sys.executable, "-c", script], check=True)
