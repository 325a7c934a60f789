"""Pressure on channels that are to go, removal in rounds, and widths that measure fastest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import SettingError
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.pressure import GrowingPressure, ScalePenalty
from gossamer.prune.schedules import Iterative, OneShot
from gossamer.prune.widths import Fastest, Multiples
from tests.battery.networks import NETWORKS

NETWORK = NETWORKS[0]


def test_the_penalty_on_scales_is_its_subgradient() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.LayerNorm(2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([2.0, -1.0, 0.0, 0.5]))
    network(torch.randn(5, 3)).sum().backward()
    before = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    ScalePenalty(strength=0.25).push_(network, {}, 0.5)
    added = {name: parameter.grad - before[name] for name, parameter in network.named_parameters()}
    torch.testing.assert_close(added["1.weight"], torch.tensor([0.25, -0.25, 0.0, 0.25]))
    torch.testing.assert_close(added["3.weight"], torch.tensor([0.25, 0.25]))
    assert all(not bool(added[name].any()) for name in added if name not in ("1.weight", "3.weight"))


def test_growing_pressure_pulls_on_what_is_doomed_once() -> None:
    network = nn.Linear(3, 2, bias=False)
    network(torch.randn(4, 3)).sum().backward()
    before = network.weight.grad.clone()
    doomed = {"weight": [(0, torch.tensor([1])), (1, torch.tensor([0, 2]))]}
    GrowingPressure(ceiling=2.0).push_(network, doomed, 0.25)
    pressed = torch.tensor([[True, False, True], [True, True, True]])
    torch.testing.assert_close(network.weight.grad - before, 0.5 * network.weight.detach() * pressed)


def test_what_is_pressed_is_what_goes_and_it_is_nearly_gone_before() -> None:
    task = NETWORK.task()
    method = ChannelPruning(sparsity=0.5, pressure=GrowingPressure(ceiling=20.0, chosen=0.2), schedule=OneShot(at=0.8))
    run = method.start(NETWORK.model(), task, epochs=40)
    optimizer = torch.optim.SGD(run.model.parameters(), lr=0.05)
    steps, done = 40 * task.steps(), 0
    norms: list[float] = []
    for epoch in range(40):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(run.model, batch).backward()
            run.after_backward()
            optimizer.step()
            if done == round(0.2 * round(0.8 * steps)) or done == round(0.8 * steps) - 1:
                parameters = dict(run.model.named_parameters())
                norms.append(
                    sum(
                        float(parameters[name].detach().index_select(dim, gone).norm())
                        for name, parts in run._doomed.items()
                        if name in parameters
                        for dim, gone in parts
                    )
                )
            done += 1
            run.after_step(optimizer)
    assert run.settled
    assert norms[0] > 0
    assert norms[-1] < 0.5 * norms[0]


@pytest.mark.parametrize("rewind", [False, True])
def test_removal_in_rounds_ends_where_one_shot_does(rewind: bool) -> None:
    task = NETWORK.task()
    sizes = []
    for schedule in (OneShot(), Iterative(rounds=3, rewind=rewind)):
        torch.manual_seed(0)
        run = ChannelPruning(sparsity=0.5, schedule=schedule).start(NETWORK.model(), task, epochs=4)
        optimizer = torch.optim.Adam(run.model.parameters())
        widths = []
        for epoch in range(4):
            for batch in task.batches("train", epoch=epoch):
                optimizer.zero_grad()
                task.loss(run.model, batch).backward()
                optimizer.step()
                run.after_step(optimizer)
                widths.append(sum(parameter.numel() for parameter in run.model.parameters()))
        assert run.settled
        sizes.append(widths[-1])
    assert len(set(widths)) == 4  # whole, and after each of three rounds
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_rewinding_gives_what_stays_its_first_values() -> None:
    task = NETWORK.task()
    model = NETWORK.model()
    run = ChannelPruning(schedule=Iterative(rounds=1, rewind=True)).start(model, task, epochs=2)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(run.model.parameters())
    while not run.settled:
        for batch in task.batches("train"):
            optimizer.zero_grad()
            task.loss(run.model, batch).backward()
            optimizer.step()
            run.after_step(optimizer)
            if run.settled:
                break
    whole = NETWORK.model()
    whole.load_state_dict(first)
    run._plans[0].removal.apply_(whole)
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name])


def test_pressure_that_chooses_wants_one_removal() -> None:
    with pytest.raises(SettingError, match="expected schedule=one-shot"):
        ChannelPruning(pressure=GrowingPressure(), schedule=Iterative())


def test_widths_are_multiples_and_the_result_says_so() -> None:
    task = NETWORK.task()
    run = ChannelPruning(schedule=OneShot(at=0.0), widths=Multiples(of=4)).start(NETWORK.model(), task, epochs=1)
    assert all(group["kept"] % 4 == 0 or group["kept"] == group["units"] for group in run.report()["groups"])
    assert "Widths are rounded up to multiples of 4." in run.notes()


def test_the_fastest_widths_are_chosen_on_this_machine() -> None:
    task = NETWORK.task()
    run = ChannelPruning(schedule=OneShot(at=0.0), widths=Fastest(among=(1, 4))).start(NETWORK.model(), task, epochs=1)
    assert "measured fastest here" in run.report()["rounding"]
