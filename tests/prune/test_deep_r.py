"""Deep R against its algorithm."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.compression import method
from gossamer.prune.allocation import Uniform
from tests.prune.toy import Regression, network, sgd


@settings(max_examples=15, deadline=None)
@given(st.floats(0.1, 0.9), st.floats(0.0, 2.0), st.integers(0, 50))
def test_each_step_is_that_of_the_algorithm(sparsity: float, pull: float, seed: int) -> None:
    torch.manual_seed(seed)
    task, model, rate = Regression(), network(seed), 0.05
    signs = torch.where(model[0].weight.detach() >= 0, 1.0, -1.0)
    chosen = method("deep-r", sparsity=sparsity, pull=pull, temperature=0.0, until=1.0, allocation=Uniform())
    run = chosen.start(model, task, epochs=3)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.5)
    size = {name: int(mask.sum()) for name, mask in run.masks.items()}
    fallen = 0
    for epoch in range(3):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            run.after_backward()
            optimizer.step()
            stepped, before = model[0].weight.detach().clone(), run.masks["0.weight"]
            run.after_step(optimizer)
            after, weight = run.masks["0.weight"], model[0].weight.detach()
            theta = signs * stepped - rate * pull
            stays, falls = before & (theta >= 1e-6), before & (theta < -1e-6)
            fallen += int(falls.sum())
            assert bool(after[stays].all())
            torch.testing.assert_close(weight[stays], (signs * theta)[stays], atol=1e-6, rtol=0.0)
            assert not bool(weight[~before | falls].any())
            assert {name: int(mask.sum()) for name, mask in run.masks.items()} == size
    assert fallen or pull < 0.5


def test_noise_has_the_spread_of_the_temperature_and_ends_in_time() -> None:
    torch.manual_seed(0)

    class Wide(Regression):
        def example(self) -> tuple[torch.Tensor]:
            return (torch.zeros(2, 200),)

    model = nn.Linear(200, 200)
    with torch.no_grad():
        model.weight.fill_(10.0)
    run = method("deep-r", sparsity=0.5, pull=0.0, temperature=2.0, until=0.5).start(model, Wide(), epochs=2)  # 6 steps
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    run.after_step(optimizer)
    moved = model.weight.detach()[run.masks["weight"]] - 10.0
    assert float(moved.std()) == pytest.approx(math.sqrt(2 * 0.01 * 2.0), rel=0.03)
    for _ in range(2):
        run.after_step(optimizer)
    masks, value = run.masks["weight"], model.weight.detach().clone()
    model.weight.data.neg_()  # every weight crosses zero, which nobody minds any more
    run.after_step(optimizer)
    assert torch.equal(run.masks["weight"], masks)
    assert torch.equal(model.weight.detach(), -value)


def test_sleepers_forget_their_momentum() -> None:
    torch.manual_seed(0)
    task, model = Regression(), network()
    run = method("deep-r", sparsity=0.5, pull=1.0, until=1.0).start(model, task, epochs=2)
    optimizer, before = sgd(model), run.masks["0.weight"]
    task.loss(model, next(iter(task.batches("train")))).backward()
    run.after_backward()
    optimizer.step()
    run.after_step(optimizer)
    woken = run.masks["0.weight"] & ~before
    assert int(woken.sum()) > 0
    assert not bool(optimizer.state[model[0].weight]["momentum_buffer"][woken].any())
    assert run.training_cost() == pytest.approx(3 * sum(run.target_nonzeros().values()) / 320)
    assert {layer["name"]: layer["nonzeros"] for layer in run.layer_report()} == run.target_nonzeros()
