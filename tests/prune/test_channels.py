"""Channels are removed at a point of the training, and the run goes on with the smaller network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import gossamer
from gossamer.compression import compress
from gossamer.errors import ModelError
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.schedules import OneShot
from gossamer.structure import GroupRandom, GroupTaylor
from gossamer.train import Training
from tests.battery.networks import NETWORKS

TRAINING = Training(epochs=4, patience=None, keep_best=False)
IMAGE = next(
    network for network in NETWORKS if "resnet" in network.name or "cnn" in network.name or "conv" in network.name
)


def test_half_of_the_training_is_whole_and_the_rest_is_small() -> None:
    task, method = IMAGE.task(), ChannelPruning(sparsity=0.5)
    run = method.start(IMAGE.model(), task, epochs=4)
    before = sum(parameter.numel() for parameter in run.model.parameters())
    optimizer = torch.optim.Adam(run.model.parameters())
    costs = []
    for epoch in range(run.epochs):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(run.model, batch).backward()
            costs.append(run.training_cost())
            optimizer.step()
            run.after_step(optimizer)
    steps = 4 * task.steps()
    assert run.settled
    assert costs[: steps // 2] == [3.0] * (steps // 2)
    assert all(cost < 1.5 for cost in costs[steps // 2 :])
    assert sum(parameter.numel() for parameter in run.finish().parameters()) < 0.4 * before
    assert run.report()["groups"]


@pytest.mark.parametrize("score", [GroupTaylor(), GroupRandom()], ids=lambda score: score.name)
def test_other_scores_take_part(score: GroupTaylor) -> None:
    network = NETWORKS[0]
    method = ChannelPruning(sparsity=0.75, score=score, schedule=OneShot(at=0.0))
    result = compress(
        network.model(), network.task(), method, training=TRAINING, latency=False, accelerate=False, progress=False
    )
    assert result.cost.parameters < 0.6 * result.cost_before.parameters
    assert result.cost.macs < 0.6 * result.cost_before.macs


def test_a_budget_is_met_by_removing_channels() -> None:
    network = NETWORKS[0]
    whole = gossamer.measure(network.model(), network.task().example(), latency=False)
    budget = gossamer.Budget(macs=whole.macs / 2)
    result = compress(
        network.model(),
        network.task(),
        ChannelPruning(),
        budget=budget,
        training=TRAINING,
        accelerate=False,
        progress=False,
    )
    assert result.met_budget
    assert result.cost.macs <= whole.macs / 2


def test_channels_and_then_weights(tmp_path: Path) -> None:
    network = NETWORKS[0]
    result = compress(
        network.model(),
        network.task(),
        [ChannelPruning(sparsity=0.5), gossamer.method("magnitude", sparsity=0.5)],
        training=TRAINING,
        latency=False,
        progress=False,
    )
    result.save(tmp_path / "net")
    again = gossamer.load(tmp_path / "net", model=network.model())
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_channels_and_then_factors_go_through_a_file(tmp_path: Path) -> None:
    network = NETWORKS[0]
    methods = [ChannelPruning(sparsity=0.5), gossamer.method("svd")]
    result = compress(network.model(), network.task(), methods, training=TRAINING, latency=False, progress=False)
    result.save(tmp_path / "net")
    again = gossamer.load(tmp_path / "net", model=network.model()).eval()
    with torch.no_grad():
        one, other = (net(*network.task().example()) for net in (result.model.eval(), again))
    assert torch.equal(one, other)


def test_a_network_without_channels_to_remove_is_refused_at_the_start() -> None:
    network = NETWORKS[0]
    task = network.task()
    wide = task.example()[0].shape[-1]

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(wide, 4)

        def forward(self, x: torch.Tensor, *rest: object) -> torch.Tensor:
            return self.linear(x)

    with pytest.raises(ModelError, match="nothing can be removed from One"):
        ChannelPruning().start(One(), task, epochs=1)
