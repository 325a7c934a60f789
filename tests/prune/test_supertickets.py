"""Widths and weights at once: what the penalty is, what is cut, and what comes back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.prune.channel_search import ChannelScales, ChannelSearch
from gossamer.prune.schedules import OneShot, Progressive
from gossamer.prune.supertickets import SuperTicket
from tests.battery.networks import NETWORKS

MLP, CNN = NETWORKS[0], NETWORKS[1]
HALVES = Progressive(step=0.25, every=0.25, end=0.75)


def test_the_schedule_adds_the_same_each_time() -> None:
    events = Progressive(step=0.1, every=0.1, end=0.5).plan(100, 0.25)
    assert [(event.step, event.sparsity) for event in events] == [
        (10, 0.1),
        (20, 0.2),
        (30, 0.25),
        (40, 0.25),
        (50, 0.25),
    ]
    assert [event.sparsity for event in Progressive(every=0.4, end=0.8).plan(10, 0.9)] == [0.1, 0.9]
    assert [event.sparsity for event in Progressive().plan(0, 0.9)] == [0.9]


def test_the_penalty_is_the_scales_times_what_they_cost() -> None:
    network, example = CNN.model(), CNN.task().example()
    scales = ChannelScales(ChannelSearch(strength=0.5, warm_up=0.5), network, example)
    (only,) = scales.groups  # of one kind of channel, so that every cost is the average
    assert only.cost == pytest.approx(1.0)
    assert scales.penalty(0.0) is None
    assert scales.penalty(0.25).item() == pytest.approx(0.25 * 16)
    assert scales.penalty(0.9).item() == pytest.approx(0.5 * 16)


def test_dead_channels_are_cut_and_living_ones_stay() -> None:
    network, task = CNN.model(), CNN.task()
    with torch.no_grad():
        network[1].weight[[2, 5, 11]] = 1e-4
        network[1].bias[[2, 5, 11]] = 0.0
        network[1].weight[7] = -0.5
    network.eval()
    with torch.no_grad():
        expected = network(*task.example())
    removal = ChannelScales(ChannelSearch(worth=0.0), network, task.example()).cut(None)
    assert removal is not None
    assert network[1].num_features == 13
    with torch.no_grad():
        torch.testing.assert_close(network(*task.example()), expected, rtol=1e-3, atol=1e-3)
    assert ChannelScales(ChannelSearch(worth=0.0), network, task.example()).cut(None) is None


def test_the_search_makes_a_network_narrower_while_it_trains() -> None:
    network, task = CNN.model(), CNN.task()
    with torch.no_grad():
        network[1].weight[:9] = 1e-5
    method = SuperTicket(sparsity=0.5, search=ChannelSearch(worth=0.0, strength=1e-3), schedule=HALVES)
    run = method.start(network, task, epochs=4)
    run.after_epoch(0)
    assert network[1].num_features == 7
    assert run.training_cost() < 2.0
    state = run.state_dict()
    fresh = CNN.model()
    resumed = method.start(fresh, task, epochs=4)
    resumed.load_state_dict(state)
    assert fresh[1].num_features == 7
    small = run.finish()
    weights = [parameter for name, parameter in small.named_parameters() if parameter.dim() > 1]
    assert sum(int(w.count_nonzero()) for w in weights) == pytest.approx(sum(w.numel() for w in weights) / 2, abs=1)


@pytest.mark.parametrize(
    ("reactivation", "between", "returns"),
    [("stored", 0.0, True), ("none", 0.0, False), ("reset", 0.001, True), ("zero", 0.0, True)],
)
def test_what_becomes_of_masked_weights(reactivation: str, between: float, returns: bool) -> None:
    network, task = MLP.model(), MLP.task()
    method = SuperTicket(sparsity=0.5, search=None, schedule=HALVES, reactivation=reactivation)
    run = method.start(network, task, epochs=4)
    weight = network[1].weight
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.sign() * (parameter.abs() + 0.01))
        weight[0, 0] = 0.001  # the smallest of all
    steps = 4 * task.steps()
    for _ in range(steps // 4):
        run.after_step(None)
    assert weight[0, 0].item() == pytest.approx(between)
    alive = reactivation in {"reset", "zero"}
    assert (run.masks == {}) == alive
    with torch.no_grad():  # all others shrink, until the smallest is the largest
        for parameter in network.parameters():
            parameter.mul_(1e-3)
        weight[0, 0] = 0.02 if alive else 0.0
    for _ in range(steps // 2):
        run.after_step(None)
    assert run.settled
    assert bool(run.masks["1.weight"][0, 0]) == returns
    assert (weight[0, 0].item() != 0) == returns
    assert sum(run.target_nonzeros().values()) == (64 * 48 + 48 * 4) // 2


def test_without_scales_weights_are_pruned_and_it_says_so() -> None:
    run = SuperTicket(sparsity=0.5, schedule=OneShot(at=0.0)).start(MLP.model(), MLP.task(), epochs=1)
    assert run.penalty() is None
    assert "widths kept" in run.notes()[0]
    assert isinstance(run.finish(), nn.Module)
