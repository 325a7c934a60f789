"""The example runs as it is printed, and what it saves is what it made."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_pyg_model.py"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = runpy.run_path(str(EXAMPLE), run_name="__main__")
    small, same = made["small"], made["same"]
    assert small.sparsity == pytest.approx(0.9, abs=0.001)
    assert small.quality["accuracy"] > 0.5  # ten classes
    for name, value in small.model.state_dict().items():
        assert torch.equal(same.state_dict()[name], value)
    assert "of the weights are zero" in capsys.readouterr().out


def test_the_readme_shows_lines_of_the_example() -> None:
    readme = (EXAMPLE.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("```python\n")[2].partition("```")[0].splitlines()
    example = [line.strip() for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    assert len(shown) > 5
    assert [line for line in shown if line.strip() not in example] == []
