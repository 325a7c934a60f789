"""Correlations of activity, against NumPy on the same activations."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from gossamer.prune import AtRandom, Coactive, Coactivity, DropAndGrow, HardMasks, Statistics, Uniform
from gossamer.prune.weights import PrunableWeight, prunable_weights
from tests.prune.toy import Regression, network, sgd


def watched(model: nn.Module, statistics: Statistics, inputs: list[Any]) -> tuple[Coactivity, dict[str, Any]]:
    weights = prunable_weights(model)
    watch = Coactivity(model, weights, statistics)
    for x in inputs:
        model(x)
        watch.take()
    return watch, {weight.name: watch.correlation(weight) for weight in weights}


def brute_force(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """The correlation of each column of `post` with each of `pre`, one pair at a time."""
    result = np.zeros((post.shape[1], pre.shape[1]))
    for j in range(post.shape[1]):
        for i in range(pre.shape[1]):
            covariance = np.mean(post[:, j] * pre[:, i]) - post[:, j].mean() * pre[:, i].mean()
            result[j, i] = covariance / np.sqrt(post[:, j].var() * pre[:, i].var() + 1e-8)
    return result


def test_plain_means_over_steps_are_those_of_all_samples_at_once() -> None:
    model = network()
    batches = [torch.randn(16, 12, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    _, found = watched(model, Statistics(over="between-updates", active=0.0), batches)
    x = torch.cat(batches)
    hidden = model[1](model[0](x)).detach()
    np.testing.assert_allclose(found["0.weight"], brute_force(x.numpy(), hidden.numpy()), atol=2e-4)
    np.testing.assert_allclose(
        found["2.weight"], brute_force(hidden.numpy(), model(x).relu().detach().numpy()), atol=2e-4
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 0.99), st.integers(1, 6), st.integers(0, 99))
def test_running_means_are_weighted_sums_of_the_steps(memory: float, steps: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 3), nn.Tanh())
    batches = [torch.randn(40, 5, generator=draw) for _ in range(steps)]
    _, found = watched(model, Statistics(memory=memory), batches)
    shares = np.array([memory ** (steps - 1 - i) * ((1 - memory) if i else 1.0) for i in range(steps)])
    assert shares.sum() == pytest.approx(1.0)

    def mean(make: Any) -> np.ndarray:
        values = [(x.double().numpy(), model(x).detach().double().numpy()) for x in batches]
        return sum(share * make(pre, post) for share, (pre, post) in zip(shares, values, strict=True))

    joint = mean(lambda pre, post: post.T @ pre / len(pre))
    pre, post = mean(lambda pre, post: pre.mean(0)), mean(lambda pre, post: post.mean(0))
    pre_var = mean(lambda pre, post: (pre**2).mean(0)) - pre**2
    post_var = mean(lambda pre, post: (post**2).mean(0)) - post**2
    expected = (joint - np.outer(post, pre)) / np.sqrt(np.outer(post_var, pre_var) + 1e-8)
    np.testing.assert_allclose(found["0.weight"], expected, atol=1e-3)
    assert float(found["0.weight"].abs().max()) <= 1.001


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_correlate_channels_over_places_and_taps_share_a_number(groups: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups), nn.BatchNorm2d(6), nn.ReLU())
    x = torch.randn(5, 4, 8, 8)
    _, found = watched(model, Statistics(active=0.0), [x])
    pre = F.avg_pool2d(x, 2).permute(0, 2, 3, 1).reshape(-1, 4)
    post = model(x).detach().permute(0, 2, 3, 1).reshape(-1, 6)
    whole = brute_force(pre.numpy(), post.numpy())
    expected = whole if groups == 1 else np.concatenate([whole[:3, :2], whole[3:, 2:]])
    np.testing.assert_allclose(found["0.weight"], expected.repeat(9, axis=1), atol=2e-4)


def test_what_hardly_ever_fires_is_not_known_and_attention_is_not_seen() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[0].bias.copy_(torch.tensor([0.0, -100.0]))  # the second output never fires
    x = torch.rand(200, 2) + 0.1
    x[2:, 1] = 0.0  # the second input in 1 of 100 samples, which is not more than asked for
    _, found = watched(model, Statistics(active=0.01), [x])
    assert found["0.weight"].isnan().tolist() == [[False, True], [True, True]]
    _, found = watched(model, Statistics(active=0.0099), [x])
    assert found["0.weight"].isnan().tolist() == [[False, False], [True, True]]

    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    _, found = watched(encoder, Statistics(), [torch.randn(3, 5, 8)])
    assert {name for name, value in found.items() if value is None} == {
        "self_attn.in_proj_weight",
        "self_attn.out_proj.weight",
    }


def test_nothing_is_watched_without_gradients_or_after_the_end_and_means_can_begin_anew() -> None:
    model, x = network(), torch.randn(8, 12)
    watch, before = watched(model, Statistics(over="between-updates"), [x])
    with torch.no_grad():
        model(torch.randn(8, 12))
    watch.take()
    weight = prunable_weights(model)[0]
    assert torch.equal(watch.correlation(weight).nan_to_num(), before["0.weight"].nan_to_num())
    watch.updated()
    assert watch.correlation(weight) is None
    watch.close()
    model(x)
    watch.take()
    assert watch.correlation(weight) is None
    assert not any(module._forward_hooks for module in model.modules())


def test_weights_between_units_that_go_their_own_ways_are_dropped_first() -> None:
    """As |w| are equal, |C| alone decides, in sparse training and in one-shot pruning."""
    task = Regression(count=1)
    model = nn.Sequential(nn.Linear(12, 4))
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(4, 12).sign())
    run = HardMasks(sparsity=0.5, score=Coactive(), batches=1).start(copy.deepcopy(model), task, epochs=0)
    _, found = watched(model, Statistics(), [task.x])
    worth = found["0.weight"].abs().nan_to_num()
    kept = run.masks["0.weight"]
    assert int(kept.sum()) == 24
    assert float(worth[kept].min()) >= float(worth[~kept].max()) - 1e-6

    method = DropAndGrow(sparsity=0.5, drop=Coactive(), grow=AtRandom(), every=1, last=0.1, allocation=Uniform())
    run = method.start(model, task, epochs=2)
    before, size = run.masks["0.weight"], model[0].weight.detach().abs()
    task.loss(model, next(iter(task.batches("train")))).backward()
    watch, found = watched(model, Statistics(), [task.x])
    watch.close()
    run.after_backward()
    run.after_step(sgd(model))
    worth = (size * found["0.weight"].abs()).nan_to_num()
    count = 24 - int(np.ceil(run.fraction(1) * 24))
    best = worth.masked_fill(~before, -1.0).flatten().topk(count).indices
    survivors = (model[0].weight != 0).flatten()
    assert int(survivors.sum()) == count
    assert bool(survivors[best].all())
    assert run.notes() == ()


def test_a_weight_of_another_layer_has_no_correlation() -> None:
    watch, _ = watched(network(), Statistics(), [torch.randn(8, 12)])
    other = PrunableWeight(name="other.weight", layer="other", kind="Linear", weight=nn.Parameter(torch.zeros(2, 2)))
    assert watch.correlation(other) is None
