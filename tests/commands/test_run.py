from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from gossamer import cli
from gossamer.commands.run import Run
from gossamer.deploy import compile as compile_network
from gossamer.kernels import native
from gossamer.runtime import load
from tests.runtime.networks import small_file
from tests.runtime.test_network import Several

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")


def ran(**options: Any) -> tuple[dict[str, Any], str]:
    console = Console(file=io.StringIO(), width=110)
    result = Run(**options).run(console)
    return json.loads(json.dumps(result, allow_nan=False)), console.file.getvalue()  # type: ignore[attr-defined]


def test_says_what_the_network_takes() -> None:
    result, text = ran(network=small_file())
    assert text == "takes input float32 (batch, 2, 8, 8)\ngives output float32 (batch, 4)\n"
    assert result["inputs"] == [{"name": "input", "dtype": "float32", "shape": ["batch", 2, 8, 8]}]


def test_an_array_in_and_one_out(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    result, _ = ran(network=small_file(), input=str(tmp_path / "x.npy"), output=tmp_path / "y.npy")
    assert result["outputs"][0]["shape"] == [3, 4]
    assert np.array_equal(np.load(tmp_path / "y.npy"), load(small_file())(x))
    _, text = ran(network=small_file(), input=str(tmp_path / "x.npy"), verify=True)
    assert "whole, as it was written" in text
    assert "output float32 (3, 4)\n[[" in text


def test_several_outputs_go_to_one_file(tmp_path: Path) -> None:
    tokens = torch.arange(6).reshape(3, 2)
    path = compile_network(Several().eval(), (tokens,)).save(tmp_path / "net.gsm")
    np.save(tmp_path / "tokens.npy", tokens.numpy())
    ran(network=path, input=str(tmp_path / "tokens.npy"), output=tmp_path / "y.npz")
    assert sorted(np.load(tmp_path / "y.npz")) == ["output_0", "output_1", "output_2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "none.npy"], "none.npy: could not be read"),
        (["--input", "text.npy"], "text.npy: is no array of numbers"),
        (["--input", "wrong.npy"], "found float64, expected input float32 (batch, 2, 8, 8)"),
        (["--input", "x.npy,x.npy"], "found 2 inputs, expected 1"),
        (["--input", "x.npy", "--output", "y.txt"], "expected a name that ends with .npy"),
        (["--output", "y.npy"], "run has --output but no --input"),
    ],
)
def test_wrong_words_are_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((1, 2, 8, 8), np.float32))
    np.save("wrong.npy", np.zeros((1, 2, 8, 8)))
    Path("text.npy").write_text("no array")
    assert cli.main(["run", str(small_file()), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
