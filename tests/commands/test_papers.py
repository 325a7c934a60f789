"""`gossamer papers` end to end, on papers that measure nothing real."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from gossamer import cli
from gossamer.commands.papers import Papers
from gossamer.errors import TrainingError
from gossamer.papers import Outcome, Paper, Run
from gossamer.papers.protocol import registry
from tests.papers.protocol.toy import ToySetup, answer, toy

CHECKED = {
    "paper", "id", "statement", "scale", "verdict", "why", "measured", "baseline", "effect", "spread", "p_value",
    "seeds", "observations", "claim",
}  # fmt: skip


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Paper]:
    """Registers a toy paper, one whose experiment fails and another toy; no other paper is known."""

    def fail(setup: ToySetup, run: Run) -> Outcome:
        raise TrainingError("the loss is not a number")

    known = {one.id: one for one in (toy(), toy(fail, id="broken"), toy(id="third", title="More toys"))}
    monkeypatch.setattr(registry, "_REGISTERED", known)
    monkeypatch.setattr(registry.pkgutil, "iter_modules", lambda *_, **__: [])
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return known


def tell(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert cli.main(["papers", *words, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.mark.usefixtures("toys")
def test_check_tells_every_claim(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = tell(capsys, "check", "toy", "third", "--seeds", "4")
    assert [(claim["paper"], claim["verdict"]) for claim in told["claims"]] == [
        (name, verdict) for name in ("toy", "third") for verdict in ("holds", "not testable at this scale")
    ]
    assert all(set(claim) == CHECKED for claim in told["claims"])
    assert told["claims"][0]["seeds"] == [0, 1, 2, 3]
    assert len(list((tmp_path / "cache" / "papers" / "toy").glob("small-*/seed-*.json"))) == 4
    assert not (tmp_path / "docs").exists(), "nothing is published unless asked for"


@pytest.mark.usefixtures("toys")
def test_check_writes_a_file_and_shows_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "sub" / "verdicts.json"
    assert cli.main(["papers", "check", "toy", "--seeds", "3", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "holds" in shown
    assert "{" not in shown
    assert [claim["id"] for claim in json.loads(file.read_text())["claims"]] == ["more", "other"]


@pytest.mark.usefixtures("toys")
def test_json_before_an_id_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["papers", "check", "--json", "toy", "--seeds", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["paper"] == "toy"


@pytest.mark.usefixtures("toys")
def test_evidence_becomes_the_ledger_and_the_lists_know_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tell(capsys, "check", "toy", "--seeds", "3", "--evidence", "docs/evidence")
    told = tell(capsys, "ledger")
    assert told == {
        "ledger": "docs/ledger.md",
        "json": "docs/ledger.json",
        "verdicts": {
            "holds": 1,
            "holds in direction only": 0,
            "does not hold": 0,
            "not testable at this scale": 1,
        },
    }
    assert "**holds**" in (tmp_path / "docs/ledger.md").read_text()
    listed = tell(capsys, "list")["papers"]
    assert [entry["id"] for entry in listed] == ["broken", "third", "toy"]
    assert listed[2]["verdicts"] == {"small": told["verdicts"]}
    assert listed[1]["verdicts"] == {}
    shown = tell(capsys, "show", "toy")
    assert [claim["id"] for claim in shown["claims"]] == ["more", "other"]
    assert shown["scales"]["full"] == "needs a toy shop"
    assert [check["scale"] for check in shown["checks"]] == ["small"]
    for words in (["list"], ["show", "toy"]):
        assert cli.main(["papers", *words]) == 0
        assert "small: " in capsys.readouterr().out


@pytest.mark.usefixtures("toys")
def test_one_failure_stops_no_other_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["papers", "check", "--all", "--seeds", "3", "--evidence", "kept"]) == 2
    said = capsys.readouterr()
    assert "1 of 3 checks failed, the first: broken: the loss is not a number" in said.err
    assert sorted(path.name for path in Path("kept").iterdir()) == ["third.small.json", "toy.small.json"]
    assert "third more" in said.out


def test_list_shows_the_methods_that_follow_a_paper(capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = (one for one in tell(capsys, "list")["papers"] if one["id"] == "gnn-sparsification")
    assert {"rigl", "set"} <= set(entry["methods"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chek"], "unknown action of papers 'chek'; did you mean 'check'"),
        (["check"], "name the papers to check, or say --all"),
        (["check", "toy", "--all"], "name the papers to check, or say --all"),
        (["check", "tyo"], "unknown paper 'tyo'; did you mean 'toy'"),
        (["check", "toy", "--scale", "tiny"], "papers check: "),
        (["check", "toy", "--seds", "3"], "papers check: unknown option --seds; did you mean --seeds?"),
        (["check", "toy", "--seeds", "0"], "--seeds is 0; expected at least 1"),
        (["check", "toy", "--scale", "smoke", "--evidence", "kept"], "smoke checks only show"),
        (["check", "toy", "--out", "/dev/null/o"], "choose another --out"),
        (["check", "broken"], "the loss is not a number"),
        (["show"], "papers show: "),
        (["show", "tyo"], "did you mean 'toy'"),
        (["ledger"], "docs/evidence: holds no evidence"),
    ],
)
@pytest.mark.usefixtures("toys")
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["papers", *words, "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.startswith("gossamer: ")
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("action", list(Papers.actions))
def test_every_action_has_help_with_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["papers", action, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: gossamer papers {action}" in shown
    assert f"  gossamer papers {action}" in shown.partition("Examples:")[2]


def test_the_command_lists_its_actions(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["papers"], ["papers", "--help"]):
        assert cli.main(words) == 0
        shown = capsys.readouterr().out
        assert all(f"\n  {action} " in shown for action in Papers.actions)


def test_ctrl_c_stops_with_130_and_the_same_command_goes_on(
    toys: dict[str, Paper], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []

    def stopped(setup: ToySetup, run: Run) -> Outcome:
        seen.append(run.seed)
        if seen == [0, 1]:
            signal.raise_signal(signal.SIGINT)
        return answer(setup, run)

    toys["toy"] = toy(stopped)
    words = ["papers", "check", "toy", "--seeds", "3", "--json"]
    assert cli.main(words) == 130
    said = capsys.readouterr()
    assert said.err == "gossamer: toy: stopped, 1 of 3 seeds are done; the same command goes on from there\n"
    assert cli.main(words) == 0
    assert seen == [0, 1, 1, 2]
    assert json.loads(capsys.readouterr().out)["claims"][0]["seeds"] == [0, 1, 2]
