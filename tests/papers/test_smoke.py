"""Every experiment runs on bundled data, answers for its claims, and does so again from the same seed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gossamer.papers import check, papers
from gossamer.papers.protocol import registry

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.mark.parametrize("name", papers())
def test_smoke(name: str, tmp_path: Path) -> None:
    found = papers()[name]
    once = check(found, "smoke", seeds=1, out=tmp_path, progress=False)
    assert {record["id"] for record in once.records()} == {claim.id for claim in found.claims}
    assert any(record["measured"] is not None for record in once.records()), "smoke measures at least one claim"
    assert all(record["verdict"] == "not testable at this scale" for record in once.records()), "of one seed"


def test_the_example_for_contributors_is_a_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = CONTRIBUTING.read_text().split("## Add a paper in one file")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    monkeypatch.setattr(registry, "_REGISTERED", {})
    module = ModuleType("a_paper")
    monkeypatch.setitem(sys.modules, "a_paper", module)
    exec(code[1], module.__dict__)
    (record,) = check(module.PAPER, "smoke", seeds=3, out=tmp_path, progress=False).records()
    assert record["verdict"] != "not testable at this scale"
    (record,) = check(module.PAPER, "full", out=tmp_path, progress=False).records()
    assert record["why"] == "needs the paper's graph of a billion edges"
