from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gossamer.errors import FileError
from gossamer.papers import Evidence, check, load_evidence, papers, write_ledger
from gossamer.papers.protocol import ledger
from tests.papers.protocol.toy import claim, toy

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def evidence(tmp_path: Path) -> list[Evidence]:
    check(toy(), seeds=4, out=tmp_path / "runs", progress=False).save(tmp_path / "evidence")
    return load_evidence(tmp_path / "evidence")


def test_the_published_ledger_is_what_the_published_evidence_gives(tmp_path: Path) -> None:
    found = load_evidence(DOCS / "evidence")
    assert found
    for path in write_ledger(found, papers(), tmp_path):
        assert path.read_text() == (DOCS / path.name).read_text(), "run `gossamer papers ledger`, edit nothing by hand"


def test_the_same_evidence_gives_the_same_bytes(evidence: list[Evidence], tmp_path: Path) -> None:
    known = {"toy": toy(arxiv="1234.5678")}
    first = [path.read_bytes() for path in write_ledger(evidence, known, tmp_path / "a")]
    again = load_evidence(tmp_path / "evidence")
    assert [path.read_bytes() for path in write_ledger(again, known, tmp_path / "b")] == first


def test_the_page_has_every_claim_with_figures_and_reason(evidence: list[Evidence]) -> None:
    page = ledger.markdown(evidence, {"toy": toy(arxiv="1234.5678"), "later": toy(id="later", title="Later toys")})
    assert "| [toy](#toy) | small | 1 | 0 | 0 | 1 |" in page
    assert "[Toys](https://arxiv.org/abs/1234.5678), 2020." in page
    assert "seeds 0 1 2 3" in page
    assert "- `later`: Later toys (2020)" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.count("|") for row in rows] == [7, 7], "a bar in a reason does not break the table"
    measured, baseline = evidence[0].records()[0]["measured"], evidence[0].records()[0]["baseline"]
    assert rows[0].startswith(f"| `more` | {measured:.4g} | {baseline:.4g} | +1.0")
    assert "**holds**" in rows[0]
    assert "**not testable at this scale**: needs a / pipe" in rows[1]


def test_the_json_has_the_claims_and_the_circumstances(evidence: list[Evidence]) -> None:
    told = ledger.to_json(evidence, {"toy": toy()})
    assert told["verdicts"] == {
        "holds": 1,
        "holds in direction only": 0,
        "does not hold": 0,
        "not testable at this scale": 1,
    }
    assert told["claims"] == evidence[0].records()
    assert told["papers"][0]["checks"][0]["machine"] == evidence[0].machine
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "paper 'toy' is not registered"),
        (
            {"toy": toy(claims=(claim(margin=1.0), claim("other")))},
            "claim more had margin None, now it is 1.0; check it",
        ),
        ({"toy": toy(claims=(claim(),))}, r"do not have the same claims \(other\)"),
    ],
)
def test_evidence_of_other_claims_is_refused(
    evidence: list[Evidence], known: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=message):
        write_ledger(evidence, known, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_wording_is_the_same_claim(evidence: list[Evidence]) -> None:
    ledger.require_current(evidence, {"toy": toy(claims=(claim(statement="Put better."), claim("other")))})


def test_smoke_runs_are_not_published(tmp_path: Path) -> None:
    smoke = check(toy(), "smoke", seeds=3, out=tmp_path, progress=False)
    with pytest.raises(FileError, match="smoke runs only show that an experiment runs"):
        ledger.require_current([smoke], {"toy": toy()})
