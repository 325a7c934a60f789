"""Sparse gradients and the memory of what was left out."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.compression import method
from tests.prune.toy import Regression, network


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1.0), st.integers(1, 6), st.integers(0, 99))
def test_nothing_is_lost_and_the_largest_are_used(density: float, steps: int, seed: int) -> None:
    draw, model = torch.Generator().manual_seed(seed), network()
    run = method("top-k-gradients", density=density).start(model, Regression(), epochs=1)
    given_, used = [torch.zeros_like(value) for value in model.parameters()], []
    sent = [torch.zeros_like(value) for value in model.parameters()]
    for _ in range(steps):
        before = run.left
        for value, total in zip(model.parameters(), given_, strict=True):
            value.grad = torch.randn(value.shape, generator=draw)
            total.add_(value.grad)
        offered = {name: value.grad + before.get(name, 0.0) for name, value in model.named_parameters()}
        run.after_backward()
        for (name, value), total in zip(model.named_parameters(), sent, strict=True):
            count = max(math.ceil(round(density * value.numel(), 6)), 1)
            largest = offered[name].abs().flatten().topk(count).indices
            expected = torch.zeros(value.numel()).index_put((largest,), offered[name].flatten()[largest])
            assert torch.equal(value.grad.flatten(), expected)
            total.add_(value.grad)
            used.append(count)
    for name, total, out in zip(dict(model.named_parameters()), given_, sent, strict=True):
        torch.testing.assert_close(out + run.left[name], total, atol=1e-4, rtol=1e-4)
    report = run.report()
    assert report["gradient_bytes"] == 4 * sum(value.numel() for value in model.parameters())
    assert report["sent_bytes"] == 8 * sum(used) / steps


def test_by_hand_with_and_without_memory() -> None:
    model = nn.Linear(4, 1, bias=False)
    for feedback, expected in ((True, [0.0, 2.0, 0.0, 0.0]), (False, [0.0, 0.0, 0.0, -1.5])):
        run = method("top-k-gradients", density=0.25, feedback=feedback).start(model, Regression(), epochs=1)
        for _ in range(2):
            model.weight.grad = torch.tensor([[0.5, 1.0, 0.0, -1.5]])
            run.after_backward()
        assert model.weight.grad.flatten().tolist() == expected
        assert run.left == {} or run.left["weight"].flatten().tolist() == [1.0, 0.0, 0.0, -1.5]


def test_memory_makes_up_for_what_is_left_out_in_training() -> None:
    """One of eight entries a step: with memory the map is fitted, without it the small gradients wait for ever."""

    def error(feedback: bool) -> float:
        torch.manual_seed(0)
        task, model = Regression(), nn.Linear(12, 4)
        run = method("top-k-gradients", density=1 / 8, feedback=feedback).start(model, task, epochs=40)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for epoch in range(40):
            for batch in task.batches("train", epoch=epoch):
                optimizer.zero_grad()
                task.loss(model, batch).backward()
                run.after_backward()
                optimizer.step()
        return 1.0 - task.evaluate(run.finish(), "val")["r2"]

    whole, lossy = error(True), error(False)
    assert whole < 0.6 * lossy
