"""The Python in the pages on one's own model and loop runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"


def run(page: str) -> dict[str, Any]:
    """Returns the names that the blocks of a page define, run one after another."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    return names


def test_your_own_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        made = run("your_own_loop.md")
    assert made["zeros"] == pytest.approx(0.8, abs=0.01)
    assert made["task"].evaluate(made["small"], "test")["accuracy"] > 0.8
    assert made["run"].notes() == ()
    assert "80% zeros, accuracy" in capsys.readouterr().out
    assert (tmp_path / "small.gossamer").exists()


def test_your_own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("your_own_model.md")
    assert set(made["small"].quality) == {"largest_error"}
    assert made["small"].sparsity == pytest.approx(0.5, abs=0.01)
    assert (tmp_path / "digits.toml").exists()
