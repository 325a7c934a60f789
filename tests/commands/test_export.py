from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from gossamer import cli, models
from gossamer.commands.export import Export
from gossamer.deploy import save


def test_export_writes_compares_and_describes(tmp_path: Path) -> None:
    saved = save(tmp_path / "net.gossamer", models.build("mlp", in_features=64, hidden=8, out_features=10))
    console = Console(file=io.StringIO(), width=110)
    command = Export(
        data="digits-graph", model=str(saved), to=tmp_path / "net.pt2", compare=True, no_compile=True, threads=1
    )
    result = command.run(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "edge_index (2, edges)" in text
    assert [form["name"] for form in result["forms"]] == ["eager", "accelerated", "onnx", "pt2"]
    assert result["exported"]["path"] == str(tmp_path / "net.pt2")
    assert json.loads(json.dumps(result, allow_nan=False))["exported"]["max_error"] <= 1e-4
    assert torch.export.load(tmp_path / "net.pt2") is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs --to FILE, --compare, or both"),
        (["--to", "net.txt"], "end the name in .onnx, .pt2 or .gsm"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "--data", "digits-graph", "--model", "mlp", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_engine_is_a_format_too(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=110)
    result = Export(data="digits", model="lenet", to=tmp_path / "net.gsm").run(console)
    assert result["exported"]["format"] == "gsm"
    assert result["exported"]["max_error"] <= 1e-4
    assert "takes x (batch, 1, 8, 8)" in console.file.getvalue()  # type: ignore[attr-defined]
