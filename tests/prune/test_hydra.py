"""Learned scores against brute force, and what they are for."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.prune import Filters, HardMasks, LearnedScores, OneShot
from gossamer.train import SGD, Adam
from tests.prune.toy import Regression, epoch_of, network, sgd, sparsity, train

PLAIN = SGD(learning_rate=0.5, momentum=0.0, weight_decay=0.0)


def test_without_training_each_layer_keeps_its_largest() -> None:
    dense = network()
    learned = LearnedScores(sparsity=0.75).start(copy.deepcopy(dense), Regression(), epochs=0).finish()
    by_size = HardMasks(sparsity=0.75, schedule=OneShot(at=0.0)).start(copy.deepcopy(dense), Regression(), epochs=0)
    for left, right in zip(learned.parameters(), by_size.finish().parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_step_moves_scores_by_the_gradient_of_all_weights_and_nothing_else() -> None:
    task, model = Regression(), network()
    whole = {name: value.detach().clone() for name, value in model.named_parameters()}
    run = LearnedScores(sparsity=0.5, pretrain=0.0, search=1.0, by=PLAIN).start(model, task, epochs=2)
    optimizer = sgd(model)
    batch = next(task.batches("train"))
    optimizer.zero_grad()
    task.loss(model, batch).backward()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
    run.after_backward()
    assert all(value.grad is None for value in model.parameters())
    optimizer.step()
    run.after_step(optimizer)
    for name in ("0.weight", "2.weight"):
        score = math.sqrt(6 / whole[name].shape[1]) * whole[name] / whole[name].abs().max()
        score = (score - 0.5 * gradients[name] * whole[name] * score.sign()).abs().flatten()
        keep = torch.zeros_like(score, dtype=torch.bool)
        keep[score.topk(len(score) // 2).indices] = True
        assert torch.equal(run.masks[name].flatten(), keep)
        assert torch.equal(dict(model.named_parameters())[name], whole[name] * keep.view_as(whole[name]))
    assert torch.equal(model[0].bias, whole["0.bias"])


def test_weights_that_were_left_out_come_back() -> None:
    task, model = Regression(), network()
    run = LearnedScores(sparsity=0.8, pretrain=0.0, search=0.5, by=Adam(learning_rate=0.05)).start(
        model, task, epochs=8
    )
    whole = {weight: mask.clone() for weight, mask in run.masks.items()}
    optimizer = sgd(model)
    epoch_of(run, task, optimizer, 0)
    assert any(bool((run.masks[name] & ~mask).any()) for name, mask in whole.items())
    assert not run.settled
    assert run.target_nonzeros() is None
    assert run.training_cost() == pytest.approx(1.4, abs=0.05)
    for epoch in range(1, 4):
        epoch_of(run, task, optimizer, epoch)
    assert run.settled
    assert run.training_cost() == pytest.approx(0.6, abs=0.05)
    chosen, before = dict(run.masks), model[0].weight.detach().clone()
    epoch_of(run, task, optimizer, 4)
    assert all(torch.equal(run.masks[name], mask) for name, mask in chosen.items())
    assert not torch.equal(model[0].weight, before)
    assert sparsity(run.finish()) == 0.8


class Scaled(Regression):
    """The inputs whose weights are large are small, so that size says the opposite of importance."""

    def __init__(self) -> None:
        super().__init__()
        scale = torch.tensor([1.0] * 6 + [0.01] * 6)
        self.weight = torch.cat([torch.full((4, 6), 0.5), torch.full((4, 6), 3.0)], 1)
        self.x = self.x * scale
        self.y = self.x @ self.weight.T

    def evaluate(self, model: nn.Module, split: Any) -> dict[str, float]:
        with torch.no_grad():
            return {"r2": 1.0 - float(((model(self.x) - self.y) ** 2).mean() / self.y.var())}


def test_scores_find_what_size_misses() -> None:
    task = Scaled()
    model = nn.Linear(12, 4, bias=False)
    with torch.no_grad():
        model.weight.copy_(task.weight)
    found: dict[str, Tensor] = {}
    for name, search in (("size", 0.0), ("scores", 1.0)):
        method = LearnedScores(sparsity=0.5, pretrain=0.0, search=search, by=PLAIN)
        run = method.start(copy.deepcopy(model), task, epochs=0 if name == "size" else 40)
        found[name] = task.evaluate(train(run, task), "val")["r2"]
    assert found["scores"] > 0.99
    assert found["size"] < 0.1


def test_whole_filters_and_a_training_that_ends_early() -> None:
    run = LearnedScores(sparsity=0.5, granularity=Filters()).start(network(), Regression(), epochs=10)
    epoch_of(run, Regression(), sgd(run.model), 0)
    assert not run.settled
    model = run.finish()
    assert int((model[0].weight == 0).all(1).sum()) == 10
    assert torch.equal(model[0].bias == 0, (model[0].weight == 0).all(1))
