"""A run that is cut off anywhere and taken up again is the run that was never cut off."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer import files
from gossamer.errors import FileError, TrainingError
from gossamer.train import AdamW, Training, fit, load_state, save_state
from tests.train.toy import ROOT, TRAINING, Masking, Toy, assert_same, network, trained, wait_for


class Killed(BaseException):
    """Stands for the end of the process."""


class Dying(Toy):
    """Dies when it is asked for the loss of the step with this number, or, in between, for an evaluation."""

    def __init__(self, *, step: int | None = None, evaluation: int | None = None) -> None:
        super().__init__()
        self.left, self.evaluations_left = step, evaluation

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1
        return super().loss(model, batch)

    def evaluate(self, model: nn.Module, split: Any) -> dict[str, float]:
        if self.evaluations_left is not None:
            if self.evaluations_left == 0:
                raise Killed
            self.evaluations_left -= 1
        return super().evaluate(model, split)


@pytest.mark.parametrize("training", [TRAINING, TRAINING.replace(optimizer=AdamW(), keep_best=False, patience=1)])
def test_every_place_to_be_killed_in(tmp_path: Path, training: Training) -> None:
    straight = trained(Toy(), training)
    assert straight[2].steps == 3 * len(straight[2].epochs)
    deaths = [Dying(step=step) for step in range(straight[2].steps)]
    deaths += [Dying(evaluation=number) for number in range(len(straight[2].epochs))]
    for number, task in enumerate(deaths):
        path = tmp_path / str(number)
        with pytest.raises(Killed):
            trained(task, training, path)
        resumed = trained(Toy(), training, path)
        assert_same(straight, resumed)
        assert path.exists()
        assert (resumed[2].resumed_from is not None) == (number > 0)


def test_a_run_may_be_killed_many_times(tmp_path: Path) -> None:
    straight = trained(Toy(), TRAINING)
    for _ in range(5):
        with pytest.raises(Killed):
            trained(Dying(step=2), TRAINING, tmp_path / "c")
    assert_same(straight, trained(Toy(), TRAINING, tmp_path / "c"))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    straight = trained(Toy(), TRAINING, tmp_path / "c")
    written = (tmp_path / "c").stat().st_mtime_ns
    again = trained(Dying(step=0, evaluation=0), TRAINING, tmp_path / "c")
    assert_same(straight, again)
    assert (tmp_path / "c").stat().st_mtime_ns == written


def test_checkpoints_change_nothing(tmp_path: Path) -> None:
    assert_same(trained(Toy(), TRAINING), trained(Toy(), TRAINING, tmp_path / "c"))


def test_the_time_of_earlier_sittings_is_counted(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(Dying(step=5), TRAINING, tmp_path / "c")
    state = load_state(tmp_path / "c")
    state["history"]["seconds"] = 1000.0
    save_state(tmp_path / "c", state)
    assert 1000.0 < trained(Toy(), TRAINING, tmp_path / "c")[2].seconds < 1100.0


def test_a_run_in_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with subprocess.Popen([sys.executable, "-m", "tests.train.slow", str(path)], cwd=ROOT) as process:
        try:
            wait_for(lambda: path.exists() and load_state(path)["history"]["steps"] >= 4, process)
        finally:
            process.kill()  # SIGKILL: no handler, no flushing, no last checkpoint
    assert load_state(path)["history"]["steps"] < 12
    assert_same(trained(Toy(), TRAINING), trained(Toy(), TRAINING, path))


@pytest.mark.parametrize(
    ("seed", "training", "task", "hidden", "hooked", "message"),
    [
        (4, TRAINING, Toy(), 8, True, "seed is 3, here 4"),
        (3, TRAINING.replace(epochs=5), Toy(), 8, True, "training.epochs is 4, here 5"),
        (3, TRAINING, Toy(steps=2), 8, True, "task.steps is 3, here 2"),
        (
            3,
            TRAINING,
            Toy(),
            9,
            True,
            r"model.0.bias is torch.float32 \(8,\), here torch.float32 \(9,\), .* more",
        ),
        (3, TRAINING, Toy(), 8, False, "hooks is Masking, here NoHooks"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(  # noqa: PLR0917 - a row of the table each
    tmp_path: Path, seed: int, training: Training, task: Toy, hidden: int, hooked: bool, message: str
) -> None:
    trained(Toy(), TRAINING, tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    model = network() if hidden == 8 else nn.Sequential(nn.Linear(6, hidden), nn.Linear(hidden, 2))
    hooks = Masking(model) if hooked else None
    with pytest.raises(FileError, match=message):
        fit(model, task, training, hooks=hooks, seed=seed, checkpoint=tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before


def test_how_often_to_save_may_change_between_two_sittings(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(Dying(step=5), TRAINING, tmp_path / "c")
    assert trained(Toy(), TRAINING.replace(checkpoint_minutes=9.0), tmp_path / "c")[2].resumed_from == 1


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    trained(Toy(), TRAINING, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileError, match="truncated"):
        trained(Toy(), TRAINING, path)
    save_state(path, {"something": 1})
    with pytest.raises(FileError, match="not of a training run"):
        trained(Toy(), TRAINING, path)
    with pytest.raises(FileError, match="is a folder"):
        trained(Toy(), TRAINING, tmp_path)


def test_fewer_batches_than_when_it_was_saved(tmp_path: Path) -> None:
    class Shrunk(Toy):
        def batches(self, split: Any, *, seed: int = 0, epoch: int = 0) -> Any:
            yield from list(super().batches(split, seed=seed, epoch=epoch))[:1]

    with pytest.raises(Killed):
        trained(Dying(step=5), TRAINING, tmp_path / "c")
    with pytest.raises(TrainingError, match="has 1 batches, the checkpoint was written after 2"):
        trained(Shrunk(), TRAINING, tmp_path / "c")


def test_a_full_disk_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    with pytest.raises(Killed):
        trained(Dying(step=5), TRAINING, path)
    kept = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left on device.*training goes on") as warned:
        resumed = trained(Toy(), TRAINING, path)
    assert len(warned) == 1
    [note] = resumed[2].notes
    assert note.startswith("a checkpoint was not written")
    assert_same(trained(Toy(), TRAINING), resumed)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_are_no_numbers_never_replace_a_checkpoint(tmp_path: Path) -> None:
    class Breaking(Toy):
        """Its loss is finite, its gradient is not, in the fifth step."""

        calls = 0

        def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            self.calls += 1
            loss = super().loss(model, batch)
            if self.calls == 5:
                loss.register_hook(lambda gradient: gradient * float("inf"))
            return loss

    training = TRAINING.replace(clip_norm=None)
    with pytest.raises(TrainingError, match=r"0.weight is not finite after epoch 1, step 2"):
        trained(Breaking(), training, tmp_path / "c")
    state = load_state(tmp_path / "c")
    assert (state["epoch"], state["step"]) == (1, 1)
    assert all(torch.isfinite(value).all() for value in state["model"].values())
