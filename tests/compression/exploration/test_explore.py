"""An exploration runs its trials once, whoever runs them and however often they are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gossamer import cli
from gossamer.compression import Frontier, explore, method
from gossamer.compression.exploration.space import Choices, space
from gossamer.compression.exploration.study import JOURNAL, JournalLock, Shared
from gossamer.cost import Budget, Cost
from gossamer.errors import FileError, MissingExtraError, SettingError
from gossamer.train import Training
from tests.battery.networks import NETWORKS

MLP = NETWORKS[0]
QUICK: dict[str, Any] = {"training": Training(epochs=1), "progress": False, "name": "magnitude"}


def run(out: Path, trials: int = 6, **changes: Any) -> Frontier:
    return explore(MLP.model, MLP.task(), method("magnitude"), out=out, trials=trials, **{**QUICK, **changes})


def values(frontier: Frontier) -> list[dict[str, Any]]:
    return [cell["values"] for cell in frontier.cells]


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Frontier]:
    out = tmp_path_factory.mktemp("explored")
    return out, run(out)


def test_every_trial_is_a_cell_and_a_point(explored: tuple[Path, Frontier]) -> None:
    out, frontier = explored
    assert len(frontier.cells) == 6
    assert len(frontier.points()) == 6
    assert Frontier.load(out / "run.json").cells == frontier.cells
    for cell in frontier.cells:
        folder = out / "cells" / cell["id"]
        assert json.loads((folder / "cell.json").read_text()) == cell
        assert (folder / "model.gossamer").exists()
        assert not (folder / "checkpoints").exists()
        assert cell["status"] == "done"
        assert cell["settings"][0]["sparsity"] == cell["values"]["sparsity"]
        assert cell["settings"][0]["granularity"]["name"] == cell["values"]["granularity"]
    assert len({json.dumps(one, sort_keys=True) for one in values(frontier)}) == 6


def test_the_same_call_makes_nothing_again_and_more_trials_go_on(
    explored: tuple[Path, Frontier], tmp_path: Path
) -> None:
    _, frontier = explored
    first = run(tmp_path, trials=2)
    assert values(first) == values(frontier)[:2], "the same seed tries the same values"
    cell = tmp_path / "cells" / first.cells[0]["id"] / "cell.json"
    before = cell.stat().st_mtime_ns
    assert run(tmp_path, trials=2).cells == first.cells
    assert len(run(tmp_path, trials=3).cells) == 3
    assert cell.stat().st_mtime_ns == before
    assert values(run(tmp_path / "other", trials=1, seed=1)) != values(first)[:1]


def test_selection_moves_to_what_the_budget_allows(tmp_path: Path) -> None:
    budget = "bytes<=6k"
    frontier = run(tmp_path, trials=40, budget=budget, training=Training(epochs=0), objectives=("nonzeros",))
    fits = [cell["met_budget"] for cell in frontier.cells]
    assert [Budget.parse(budget).met_by(Cost.from_json(cell["cost"])) for cell in frontier.cells] == fits
    assert {cell["budget"] for cell in frontier.cells} == {"bytes<=6000"}
    assert sum(fits[:10]) < 5
    assert sum(fits[-10:]) > 7, "later generations come from networks within the budget"


def test_an_exploration_ends_where_nothing_new_can_be_drawn(tmp_path: Path) -> None:
    only = {name: (value,) for name, value in method("magnitude").to_json().items() if name in {"score", "schedule"}}
    ranges = {**{name: (value[0]["name"],) for name, value in only.items()}, "sparsity": (0.5, 0.5)}
    frontier = run(
        tmp_path, trials=40, training=Training(epochs=0), ranges=ranges | {"allocation": ("uniform", "global")}
    )
    sizes = space(method("magnitude"))["granularity"]
    assert isinstance(sizes, Choices)
    assert len(frontier.cells) == 2 * len(sizes.values)


def test_a_trial_that_fails_is_recorded_and_counts(tmp_path: Path) -> None:
    def broken() -> Any:
        raise RuntimeError("no such network")

    frontier = explore(broken, MLP.task(), method("magnitude"), out=tmp_path, trials=2, **QUICK)
    assert [cell["status"] for cell in frontier.cells] == ["failed"] * 2
    assert frontier.cells[0]["error"] == "RuntimeError: no such network"
    assert "no such network" in (tmp_path / frontier.cells[0]["log"]).read_text()
    assert frontier.points() == []


def test_what_does_not_fit_is_refused(explored: tuple[Path, Frontier], monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = explored
    with pytest.raises(FileError, match="another exploration"):
        run(out, objectives=("nonzeros",))
    with pytest.raises(SettingError, match="unknown objective 'byte'; did you mean 'bytes'"):
        run(out, objectives=("byte",))
    with pytest.raises(SettingError, match="each once"):
        run(out, objectives=("bytes", "bytes"))
    with pytest.raises(SettingError, match="at least 1"):
        run(out, trials=0)
    monkeypatch.delitem(sys.modules, "gossamer.compression.exploration.study")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"install gossamer\[search\]"):
        run(out)


def shared(out: Path, trials: int = 3) -> Shared:
    dimensions = space(method("magnitude"))
    return Shared(out, "study", ["maximize", "minimize"], dimensions, trials=trials, seed=0, storage=None)


def test_the_trial_of_a_killed_process_is_run_again_with_its_values(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.compression.exploration.test_explore import shared\n"
        "study = shared(Path(sys.argv[1]))\n"
        "with study.working():\n"
        "    print(study.next()[1], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    study = shared(tmp_path)
    with study.working():
        drawn = study.next()
        assert drawn is not None
        assert str(drawn[1]) == done.stdout.strip()
        assert study.finished() == []
        study.tell(drawn[0], {"id": "a"}, [0.5, 10.0], {})
        assert len(study.finished()) == 1
        others = [study.next(), study.next()]
        assert None not in others
        assert study.next() is None, "three of three are finished or under way"


def test_half_a_line_in_the_journal_is_cut_off(tmp_path: Path) -> None:
    study = shared(tmp_path)
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    again = shared(tmp_path)
    with again.working():
        assert again.next() is not None
    assert journal.read_bytes().startswith(whole)
    for line in journal.read_text().splitlines():
        json.loads(line)
    lock = JournalLock(journal)
    for content in (b"", b"half", b"a\nhalf", b"a\n"):
        journal.write_bytes(content)
        lock.acquire()
        lock.release()
        assert journal.read_bytes() == content[: content.rfind(b"\n") + 1]
    del study


COMMAND = ["explore", "--data", "digits-graph", "--model", "gcn[hidden=8]", "--epochs", "3", "--method", "rigl"]


def test_two_processes_share_an_exploration_and_one_may_be_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gossamer", *COMMAND, "--trials", "8", "--out", str(tmp_path), "--json"]
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(2)
    ]
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("cells/*/cell.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(both[0].pid, signal.SIGKILL)
    both[0].communicate()
    _, said = both[1].communicate(timeout=240)
    assert both[1].returncode == 0, said
    assert cli.main([*COMMAND, "--trials", "8", "--out", str(tmp_path)]) == 0
    run = json.loads((tmp_path / "run.json").read_text())
    assert [cell["status"] for cell in run["cells"]] == ["done"] * 8
    assert len({cell["id"] for cell in run["cells"]}) == 8
    assert (tmp_path / "report.html").exists()


def test_the_command_takes_one_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*COMMAND, "--method", "rigl,magnitude", "--out", str(tmp_path)]) == 2
    assert "one method, found 2" in capsys.readouterr().err
