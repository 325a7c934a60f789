"""A penalty that grows on what is chosen, against PyTorch's own gradient of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compression import method
from gossamer.errors import SettingError
from gossamer.prune import Movement
from gossamer.prune.growing_penalty import GrowingPenalty
from tests.prune.toy import Regression, network


def test_the_chosen_alone_are_pressed_by_a_penalty_that_grows() -> None:
    torch.manual_seed(0)
    task, model = Regression(), network()
    chosen = method("growing-penalty", sparsity=0.75, ceiling=0.8, chosen=0.25, at=0.75)
    run = chosen.start(model, task, epochs=4)  # 12 steps: the choice after 3, the removal after 9
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    strengths, smallest = [], None
    for epoch in range(4):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            loss = task.loss(model, batch)
            strengths.append(run.strength)
            if run.strength > 0:
                pressed = {name: ~mask for name, mask in run.masks.items()}
                penalty = sum(model.get_parameter(name)[where].square().sum() / 2 for name, where in pressed.items())
                wanted = torch.autograd.grad(loss + run.strength * penalty, list(model.parameters()), retain_graph=True)
                loss.backward()
                run.after_backward()
                for value, gradient in zip(model.parameters(), wanted, strict=True):
                    torch.testing.assert_close(value.grad, gradient)
            else:
                loss.backward()
                run.after_backward()
            optimizer.step()
            run.after_step(optimizer)
            if len(strengths) == 3:
                sizes = model[0].weight.detach().abs()
                smallest = sizes <= sizes.flatten().kthvalue(180).values
                assert torch.equal(~run.masks["0.weight"], smallest)
                assert run.target_nonzeros() is None
            if len(strengths) >= 9:
                assert run.settled
                assert not bool(model[0].weight[smallest].any())
    expected = [0.0] * 3 + [0.8 * (i + 1) / 6 for i in range(6)] + [0.0] * 3
    assert strengths == pytest.approx(expected)
    assert run.target_nonzeros() == {"0.weight": 60, "2.weight": 20}
    assert int((run.finish()[0].weight != 0).sum()) == 60


def test_what_goes_is_small_by_then() -> None:
    """With the penalty the cut changes the weights less than without."""

    def cut(ceiling: float) -> float:
        torch.manual_seed(0)
        task, model = Regression(), network()
        run = method("growing-penalty", sparsity=0.5, ceiling=ceiling, chosen=0.1, at=1.0).start(model, task, epochs=30)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for epoch in range(30):
            for batch in task.batches("train", epoch=epoch):
                optimizer.zero_grad()
                task.loss(model, batch).backward()
                run.after_backward()
                optimizer.step()
                before = model[0].weight.detach().clone()
                run.after_step(optimizer)
        return float((before - model[0].weight.detach()).norm() / before.norm())

    assert cut(2.0) < 0.3 * cut(0.0)


def test_no_training_and_wrong_orders() -> None:
    model = GrowingPenalty(sparsity=0.5).start(network(), Regression(), epochs=0).finish()
    assert int((model[0].weight != 0).sum()) == 120
    run = GrowingPenalty(sparsity=0.5, chosen=1.0, at=1.0).start(nn.Sequential(*network()), Regression(), epochs=1)
    assert run.strength == 0.0
    assert int((run.finish()[0].weight != 0).sum()) == 120
    with pytest.raises(SettingError, match=r"chosen is 0.9 and at is 0.5; expected chosen <= at"):
        GrowingPenalty(chosen=0.9, at=0.5)
    with pytest.raises(SettingError, match="'movement', which follows training; use 'hard-masks'"):
        GrowingPenalty(score=Movement())
