from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import TrainingError
from gossamer.train.best import Best
from gossamer.train.hooks import NoHooks
from tests.train.toy import Toy


def weights(value: float) -> nn.Module:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, value)
    return module


@pytest.mark.parametrize(
    ("higher", "metrics", "best"),
    [
        (True, [{"accuracy": 0.1}, {"accuracy": 0.3}, {"accuracy": 0.2}], 1),
        (False, [{"accuracy": 0.1}, {"accuracy": 0.3}, {"accuracy": 0.2}], 0),
        (True, [{"accuracy": 0.3}, {"accuracy": 0.3}], 0),  # a tie: the earlier
        (True, [{"accuracy": 0.3, "loss": 0.9}, {"accuracy": 0.3, "loss": 0.8}], 1),  # a tie: the lower loss
        (True, [{"accuracy": float("nan")}, {"accuracy": -1.0}], 1),
    ],
)
def test_which_epoch_is_kept(higher: bool, metrics: list[dict[str, float]], best: int) -> None:
    task = Toy()
    task.higher_is_better = higher
    keeper = Best(task, keep=True)
    for epoch, measured in enumerate(metrics):
        keeper.consider(epoch, measured, weights(epoch), NoHooks())
    model = weights(-1.0)
    keeper.restore(model, NoHooks())
    assert keeper.epoch == best
    assert model.weight.item() == best


def test_the_kept_weights_are_a_copy_and_survive_their_state() -> None:
    model, keeper = weights(1.0), Best(Toy(), keep=True)
    keeper.consider(0, {"accuracy": 1.0}, model, NoHooks())
    nn.init.constant_(model.weight, 9.0)
    other = Best(Toy(), keep=True)
    other.load_state_dict(keeper.state_dict())
    other.consider(1, {"accuracy": 1.0}, model, NoHooks())
    other.restore(model, NoHooks())
    assert model.weight.item() == 1.0


def test_nothing_is_restored_where_nothing_was_kept() -> None:
    model, keeper = weights(1.0), Best(Toy(), keep=False)
    keeper.consider(4, {"accuracy": 1.0}, weights(2.0), NoHooks())
    keeper.restore(model, NoHooks())
    assert keeper.epoch == 4
    assert torch.equal(model.weight, weights(1.0).weight)


def test_the_headline_metric_must_be_there() -> None:
    with pytest.raises(TrainingError, match="'toy' evaluates to f1; expected its headline metric 'accuracy'"):
        Best(Toy(), keep=True).consider(0, {"f1": 1.0}, weights(0.0), NoHooks())
