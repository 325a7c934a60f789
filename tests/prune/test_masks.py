from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.prune.allocation import Global, Uniform
from gossamer.prune.granularity import Filters, SingleWeights
from gossamer.prune.masks import Masks, choose
from gossamer.prune.weights import prunable_weights
from tests.prune.toy import Regression, network

OPTIMISERS = [
    lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda parameters: torch.optim.AdamW(parameters, lr=0.1, amsgrad=True),
    lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, momentum=0.5, centered=True),
]


def halves(model: nn.Module) -> Masks:
    masks = Masks(prunable_weights(model))
    generator = torch.Generator().manual_seed(0)
    masks.replace({w.name: torch.rand(w.rows, w.columns, generator=generator) < 0.5 for w in masks.weights})
    return masks


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_removed_weights_and_their_state_stay_zero_under_any_optimiser(optimiser) -> None:
    model, task = network(), Regression()
    optimizer = optimiser(model.parameters())
    for batch in task.batches("train"):  # dense steps first, so that the state is full
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        optimizer.step()
    masks = halves(model)
    masks.apply_to_weights()
    masks.apply_to_state(optimizer)
    for batch in task.batches("train", epoch=1):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        masks.apply_to_gradients()
        optimizer.step()
        for weight in masks.weights:
            removed = ~masks.keep[weight.name]
            assert not weight.weight[removed].any()
            state = [v for v in optimizer.state[weight.weight].values() if v.shape == weight.weight.shape]
            assert state
            assert not any(value[removed].any() for value in state)
            assert weight.weight[~removed].all()


def test_removed_weights_are_plus_zero_even_where_they_were_negative_or_not_finite() -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0, float("nan")]]))
    masks = Masks(prunable_weights(model))
    masks.replace({"weight": torch.zeros(1, 2, dtype=torch.bool)})
    masks.apply_to_weights()
    assert not torch.signbit(model.weight).any()
    assert (model.weight == 0).all()


def test_masks_that_were_handed_out_do_not_change() -> None:
    masks = halves(network())
    before = masks.keep["0.weight"]
    copy = before.clone()
    masks.replace({"0.weight": ~before})
    assert torch.equal(before, copy)
    assert masks.nonzeros()["0.weight"] == 240 - int(copy.sum())
    masks.clear()
    assert masks.nonzeros() == {"0.weight": 240, "2.weight": 80}
    assert masks.density(masks.weights[0]) == 1.0


def test_choose_removes_the_lowest_and_never_brings_back() -> None:
    masks = Masks(prunable_weights(nn.Linear(4, 1)))
    options = {"granularity": SingleWeights(), "allocation": Uniform()}
    scores = {"weight": torch.tensor([[1.0, 4.0, 2.0, 3.0]])}
    masks.replace(choose(masks, scores, sparsity=0.25, **options))
    assert masks.keep["weight"].tolist() == [[False, True, True, True]]
    scores = {"weight": torch.tensor([[9.0, 1.0, 2.0, 3.0]])}  # the first would now be the best
    masks.replace(choose(masks, scores, sparsity=0.5, **options))
    assert masks.keep["weight"].tolist() == [[False, False, True, True]]


def test_filters_take_their_biases_with_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 2), nn.Conv2d(4, 2, 1, bias=False))
    masks = Masks(prunable_weights(model))
    scores = {"0.weight": torch.arange(16.0).view(4, 1, 2, 2), "1.weight": torch.ones(2, 4, 1, 1)}
    masks.replace(choose(masks, scores, granularity=Filters(), allocation=Global(), sparsity=0.5))
    assert masks.keep["0.bias"].tolist() == [False, False, True, True]
    masks.apply_to_weights()
    assert not model[0].weight[:2].any()
    assert not model[0].bias[:2].any()
    assert model[0].bias[2:].all()
    assert masks.report()[0] == {
        "name": "0.weight",
        "kind": "Conv2d",
        "shape": [4, 1, 2, 2],
        "parameters": 16,
        "nonzeros": 8,
        "sparsity": 0.5,
    }
