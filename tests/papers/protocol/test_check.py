from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from gossamer.compression import method
from gossamer.errors import FileError, MissingExtraError, SettingError, TrainingError
from gossamer.papers import Outcome, Pair, Run, Untestable, check, dataset
from gossamer.papers.protocol.check import code_digest
from gossamer.tasks import datasets
from gossamer.train import Training
from gossamer.train.interrupt import Interrupted
from tests.papers.protocol.toy import ToySetup, answer, toy


class Counted:
    """The toy experiment, with a note of the seeds it was called for; stops as by Ctrl-C before one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seeds: list[int] = []
        self.stop_at = stop_at

    def __call__(self, setup: ToySetup, run: Run) -> Outcome:
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "checkpoint").touch()
        if run.seed == self.stop_at:
            raise KeyboardInterrupt
        self.seeds.append(run.seed)
        return answer(setup, run)


def seed_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("toy/small-*/*"))


def test_observations_are_paired_by_seed_and_judged(tmp_path: Path) -> None:
    found = check(toy(), "small", seeds=4, out=tmp_path, progress=False)
    more, other = found.records()
    assert (more["verdict"], more["seeds"], more["scale"], more["paper"]) == ("holds", [0, 1, 2, 3], "small", "toy")
    for seed, (measured, baseline) in enumerate(more["observations"]):
        torch.manual_seed(seed)
        assert baseline == float(torch.rand(())), "the random state is that of the seed"
        assert measured == pytest.approx(baseline + 1.0 + 0.01 * seed)
    assert (other["verdict"], other["why"], other["seeds"]) == ("not testable at this scale", "needs a | pipe", [])
    assert found.settings == {"shift": 1.0}
    assert set(found.versions) == {"gossamer", "python", "torch", "torch_geometric"}
    assert "processor" in found.machine
    json.dumps(found.to_json(), allow_nan=False)


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check(toy(), seeds=1, out=tmp_path, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_ctrl_c_keeps_what_is_done_and_the_same_call_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"toy: stopped, 2 of 4 seeds are done; the same command goes on"):
        check(toy(Counted(stop_at=2)), seeds=4, out=tmp_path, progress=False)
    assert seed_files(tmp_path) == ["seed-0.json", "seed-1.json", "seed-2"]
    again = Counted()
    found = check(toy(again), seeds=4, out=tmp_path, progress=False)
    assert again.seeds == [2, 3]
    assert seed_files(tmp_path) == [f"seed-{seed}.json" for seed in range(4)], "checkpoints of finished seeds are gone"
    assert found.claims == check(toy(), seeds=4, out=tmp_path / "elsewhere", progress=False).claims


def test_more_seeds_run_the_new_ones_and_other_settings_all(tmp_path: Path) -> None:
    for seeds, expected in ((3, [0, 1, 2]), (5, [3, 4]), (2, [])):
        counted = Counted()
        found = check(toy(counted), seeds=seeds, out=tmp_path, progress=False)
        assert (counted.seeds, found.records()[0]["seeds"]) == (expected, list(range(seeds)))
    counted = Counted()
    scales = {**toy().scales, "small": ToySetup(shift=2.0)}
    check(toy(counted, scales=scales), seeds=2, out=tmp_path, progress=False)
    assert counted.seeds == [0, 1]


def test_other_code_measures_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(toy(), seeds=1, out=tmp_path, progress=False)
    monkeypatch.setattr("gossamer.papers.protocol.check.code_digest", lambda: "0" * 12)
    counted = Counted()
    assert check(toy(counted), seeds=1, out=tmp_path, progress=False).code == "0" * 12
    assert counted.seeds == [0]


def test_the_digest_is_of_the_files_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gossamer

    assert code_digest() == code_digest()
    assert len(code_digest()) == 12
    for text in ("a = 1\n", "a = 2\n"):
        (tmp_path / "__init__.py").write_text(text)
        before = code_digest()
        monkeypatch.setattr(gossamer, "__file__", str(tmp_path / "__init__.py"))
        assert code_digest() != before or text == "a = 2\n"
    changed = code_digest()
    (tmp_path / "part.py").write_text("")
    assert code_digest() != changed


@pytest.mark.parametrize("error", [Untestable("needs a GPU"), MissingExtraError("needs a GPU")])
def test_what_cannot_run_here_is_untestable_and_not_remembered(tmp_path: Path, error: Exception) -> None:
    def fail(setup: ToySetup, run: Run) -> Outcome:
        raise error

    for record in check(toy(fail), out=tmp_path, progress=False).records():
        assert (record["verdict"], record["why"]) == ("not testable at this scale", "needs a GPU")
    assert seed_files(tmp_path) == []


def test_a_scale_without_settings_says_why(tmp_path: Path) -> None:
    found = check(toy(), "full", out=tmp_path, progress=False)
    assert {record["why"] for record in found.records()} == {"needs a toy shop"}
    assert found.settings == {}
    assert not list(tmp_path.iterdir())


def test_an_experiment_answers_for_each_of_its_claims(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"toy answers for \['more'\]; expected its claims, \['more', 'other'\]"):
        check(toy(lambda setup, run: {"more": Pair(1.0, 0.0)}), out=tmp_path, progress=False)


def test_what_is_not_a_number_is_no_observation() -> None:
    with pytest.raises(TrainingError, match="expected finite numbers"):
        Pair(float("nan"), 1.0)


def test_no_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        check(toy(), seeds=0, out=tmp_path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    check(toy(), seeds=1, out=tmp_path, progress=False)
    (path,) = tmp_path.glob("toy/*/seed-0.json")
    path.write_text("{}")
    with pytest.raises(FileError, match="not the observation of a check; delete it"):
        check(toy(), seeds=1, out=tmp_path, progress=False)


def test_a_missing_data_set_is_untestable_and_a_wrong_name_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOSSAMER_DATA", str(tmp_path))
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path))
    with pytest.raises(Untestable, match="needs the data set acm, which is not here"):
        dataset("acm")
    with pytest.raises(datasets.DataError, match="did you mean 'acm'"):
        dataset("amc")


def test_a_run_compresses_without_touching_the_network(tmp_path: Path) -> None:
    said: list[str] = []
    run = Run(seed=3, folder=tmp_path, say=said.append)
    task = dataset("csbm")
    from gossamer.models import for_task

    network = for_task("gcn", task, hidden=4)
    before = nn.utils.parameters_to_vector(network.parameters()).clone()
    small = run.compress("csbm, half", network, task, method("magnitude", sparsity=0.5), Training(epochs=2))
    assert (said, small.seed) == (["csbm, half"], 3)
    assert small.sparsity == pytest.approx(0.5, abs=0.01)
    assert torch.equal(before, nn.utils.parameters_to_vector(network.parameters()))
