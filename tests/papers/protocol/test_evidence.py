from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import FileError
from gossamer.papers import Evidence, Pair, check, load_evidence
from gossamer.papers.protocol.evidence import Observed
from tests.papers.protocol.toy import claim, toy

Finite = st.floats(-1e9, 1e9)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return check(toy(), seeds=4, out=tmp_path / "runs", progress=False).save(tmp_path / "evidence")


def test_evidence_comes_back_from_its_file(stored: Path) -> None:
    assert stored.name == "toy.small.json"
    (found,) = load_evidence(stored.parent)
    assert found.to_json() == json.loads(stored.read_text())
    assert [record["verdict"] for record in found.records()] == ["holds", "not testable at this scale"]


@given(st.lists(st.tuples(Finite, Finite), max_size=6))
def test_observations_go_to_json_and_back(values: list[tuple[float, float]]) -> None:
    pairs = {seed: Pair(*value) for seed, value in enumerate(values)}
    observed = Observed(claim=claim(), pairs=pairs, why="" if pairs else "needs a GPU")
    written = json.loads(json.dumps(observed.to_json("toy", "small"), allow_nan=False))
    assert Observed.from_json(written) == observed


def change(record: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda evidence: evidence["claims"][0].update({record: value})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change("verdict", "does not hold"), "not those of its observations; evidence is never edited"),
        (change("measured", 99.0), "not those of its observations"),
        (change("p_value", None), "not those of its observations"),
        (change("observations", [[1.0, 2.0]] * 4), "not those of its observations"),
        (change("observations", [[1.0, 2.0]]), "does not read as evidence"),
        (change("claim", {"id": "more", "size": 3}), "does not read as evidence"),
        (lambda evidence: evidence.update(format=2), "not evidence of format 1"),
        (lambda evidence: evidence.update(scale="tiny"), "not evidence of format 1"),
        (lambda evidence: evidence.pop("machine"), "does not read as evidence"),
    ],
)
def test_edited_and_foreign_files_are_refused(
    stored: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    evidence = json.loads(stored.read_text())
    edit(evidence)
    stored.write_text(json.dumps(evidence))
    with pytest.raises(FileError, match=message):
        Evidence.load(stored)


def test_a_last_digit_of_another_library_is_no_edit(stored: Path) -> None:
    evidence = json.loads(stored.read_text())
    evidence["claims"][0]["p_value"] *= 1 + 1e-6
    stored.write_text(json.dumps(evidence))
    assert Evidence.load(stored).paper == "toy"


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert load_evidence(tmp_path / "absent") == []


def test_a_truncated_file_is_refused(stored: Path) -> None:
    stored.write_text(stored.read_text()[:100])
    with pytest.raises(FileError, match="is not JSON"):
        load_evidence(stored.parent)
