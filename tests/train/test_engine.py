from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.train import SGD, Training, fit
from gossamer.train.engine import Alone, Fabric, engine_for, share
from gossamer.train.hooks import NoHooks
from gossamer.train.optimizers import replace_parameter
from tests.train.toy import ROOT, Toy, network


class Watching(Toy):
    """Notes the kinds of numbers that the network computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        self.seen.add(model(batch[0]).dtype)
        return super().loss(model, batch)


def test_mixed_precision_computes_in_bf16_and_keeps_weights_in_float32(
    capfd: pytest.CaptureFixture[str],
) -> None:
    task, model = Watching(), network()
    history = fit(model, task, Training(epochs=30, precision="bf16-mixed"))
    assert task.seen == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert history.train_loss[-1] < history.train_loss[0]
    assert capfd.readouterr() == ("", "")


def test_fabric_at_full_precision_is_the_same_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, fabric = network(), network()
    fit(alone, Toy(), Training(epochs=2))
    monkeypatch.setattr("gossamer.train.run.engine_for", Fabric)
    fit(fabric, Toy(), Training(epochs=2))
    for a, b in zip(alone.parameters(), fabric.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_task_goes_to_the_device_of_the_network() -> None:
    class StoppedError(Exception):
        pass

    class Moved(Toy):
        def to(self, device: torch.device | str) -> Any:
            raise StoppedError(str(device))

    with pytest.raises(StoppedError, match="meta"):
        fit(network().to("meta"), Moved())
    assert isinstance(engine_for(torch.device("cpu"), "32-true"), Alone)


def test_batches_are_dealt_out_round_by_round() -> None:
    def dealt(count: int, processes: int) -> list[list[int]]:
        hands = []
        for rank in range(processes):
            engine = Alone(torch.device("cpu"))
            engine.rank, engine.world_size = rank, processes
            hands.append(list(share(iter(range(count)), engine)))
        return hands

    assert dealt(6, 1) == [[0, 1, 2, 3, 4, 5]]
    assert dealt(6, 2) == [[0, 2, 4], [1, 3, 5]]
    assert dealt(5, 3) == [[0, 3], [1, 4], [2, 3]]
    assert dealt(1, 3) == [[0], [0], [0]]


class Halves(Toy):
    """Two batches of equal size in fixed order, whose mean gradient is that of their union."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__(steps=1)
        self.whole = whole

    def batches(self, split: Any, *, seed: int = 0, epoch: int = 0) -> Any:
        parts = [slice(0, 16)] if self.whole else [slice(0, 8), slice(8, 16)]
        yield from [(self.x[part], self.y[part]) for part in (parts if split == "train" else [slice(16, 20)])]


class Chained(NoHooks):
    """Puts two layers in place of one after the second step."""

    def __init__(self, model: nn.Sequential) -> None:
        self.model, self.steps = model, 0

    @property
    def settled(self) -> bool:
        return self.steps >= 2

    def after_step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        self.steps += 1
        if self.steps == 2:
            assert optimizer is not None
            old = self.model[0]
            chain = nn.Sequential(nn.Linear(6, 2, bias=False), nn.Linear(2, 2))
            chain[0].weight.data, chain[1].weight.data = old.weight.detach().clone(), torch.eye(2)
            chain[1].bias = old.bias
            self.model[0] = chain
            replace_parameter(optimizer, old.weight, [chain[0].weight, chain[1].weight])


def halved(out: str | None) -> list[list[Tensor]]:
    """Trains on the halves, or in one process on their union, with and without a swap; writes what came out."""
    torch.set_num_threads(1)
    trained, histories = [], []
    for place, hooks in enumerate((NoHooks, Chained)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(6, 2))
        checkpoint = f"{out}/checkpoint{place}" if out else None
        training = Training(epochs=5, optimizer=SGD(), clip_norm=0.5, checkpoint_minutes=0.0)
        acting = Chained(model) if hooks is Chained else hooks()
        histories.append(fit(model, Halves(whole=out is None), training, hooks=acting, checkpoint=checkpoint))
        trained.append(list(model.parameters()))
    if out:
        values = [[parameter.tolist() for parameter in parameters] for parameters in trained]
        others = [[history.steps, history.validation] for history in histories]
        Path(out, os.environ["RANK"]).write_text(json.dumps([values, others]))
    return trained


def test_two_processes_compute_the_gradient_of_the_union(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, "-m", "tests.train.test_engine", str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    first, second = (json.loads((tmp_path / rank).read_text()) for rank in "01")
    assert first == second
    assert [steps for steps, _ in first[1]] == [5, 5]
    for values, wanted in zip(first[0], halved(None), strict=True):
        for value, expected in zip(values, wanted, strict=True):
            torch.testing.assert_close(torch.tensor(value), expected.detach())
    assert [len(values) for values in first[0]] == [2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "checkpoint0", "checkpoint1"]


if __name__ == "__main__":
    halved(sys.argv[1])
