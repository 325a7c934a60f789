from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gossamer.train import Interrupted, Training, fit, load_state
from gossamer.train.interrupt import Interrupts
from tests.train.toy import ROOT, TRAINING, Toy, assert_same, network, trained, wait_for


class Pressing(Toy):
    """Ctrl-C is pressed in the middle of the step with this number."""

    def __init__(self, step: int, presses: int = 1) -> None:
        super().__init__()
        self.left, self.presses = step, presses

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        if self.left == 0:
            for _ in range(self.presses):
                signal.raise_signal(signal.SIGINT)
        self.left -= 1
        return super().loss(model, batch)


class PressingLate(Toy):
    """Ctrl-C is pressed during the last validation."""

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:  # type: ignore[override]
        signal.raise_signal(signal.SIGINT)
        return super().evaluate(model, split)  # type: ignore[arg-type]


def test_ends_after_the_step_and_goes_on_from_there(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    training = TRAINING.replace(checkpoint_minutes=60.0)
    with pytest.raises(Interrupted, match=r"in epoch 1 after 2 steps \(of 3\) and saved to .*c; the same call goes on"):
        trained(Pressing(4), training, tmp_path / "c")
    assert signal.getsignal(signal.SIGINT) is before
    assert load_state(tmp_path / "c")["history"]["steps"] == 5
    assert_same(trained(Toy(), training), trained(Toy(), training, tmp_path / "c"))


def test_is_a_keyboard_interrupt_and_says_that_nothing_was_saved() -> None:
    with pytest.raises(KeyboardInterrupt, match="not saved; name a writable checkpoint= file"):
        trained(Pressing(0), TRAINING)


def test_is_not_lost_when_it_comes_during_the_last_validation(tmp_path: Path) -> None:
    training = TRAINING.replace(epochs=1)
    with pytest.raises(Interrupted, match="in epoch 1 after 0 steps"):
        trained(PressingLate(), training, tmp_path / "c")
    assert_same(trained(Toy(), training), trained(Toy(), training, tmp_path / "c"))


def test_a_second_one_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        trained(Pressing(0, presses=2), TRAINING)
    assert caught.type is KeyboardInterrupt


def test_the_generators_are_given_back(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    with pytest.raises(Interrupted):
        trained(Pressing(2), TRAINING, tmp_path / "c")
    assert torch.equal(torch.get_rng_state(), before)


def test_off_the_main_thread_it_trains_without_a_handler() -> None:
    histories = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with Interrupts() as interrupts:
            assert signal.getsignal(signal.SIGINT) is before
            assert not interrupts.requested
        histories.append(fit(network(), Toy(), Training(epochs=2)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert histories[0].epochs == [0, 1]


def test_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "c"
    command = [sys.executable, "-m", "tests.train.slow", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(path.exists, process)
            process.send_signal(signal.SIGINT)
            _, message = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "Interrupted: training was stopped" in message
    assert "the same call goes on from there" in message
    assert_same(trained(Toy(), TRAINING), trained(Toy(), TRAINING, path))
