"""Activating while pruning: which weights a round takes, by brute force; the sparsity stays that of the method."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gossamer
from gossamer.errors import SettingError
from gossamer.prune import (
    NM,
    Activating,
    Cubic,
    ErdosRenyiKernel,
    Filters,
    Global,
    HardMasks,
    Iterative,
    Lamp,
    Magnitude,
    OneShot,
    SIMDBlocks,
    SingleWeights,
    Taylor,
    Uniform,
)
from gossamer.prune.activating import Round
from gossamer.prune.masks import Masks
from gossamer.prune.weights import prunable_weights
from tests.prune.toy import Regression, epoch_of, network, sgd, train


def a_round(settings: Activating, granularity: SingleWeights | Filters | SIMDBlocks) -> tuple[nn.Module, Masks, Round]:
    """Returns a network that has moved since a round began; some of its weights are gone already."""
    model = network()
    masks = Masks(prunable_weights(model))
    draw = torch.Generator().manual_seed(3)
    if isinstance(granularity, SingleWeights):
        masks.replace({weight.name: torch.rand(weight.weight.shape, generator=draw) < 0.8 for weight in masks.weights})
        masks.apply_to_weights()
    began = Round(settings, masks, granularity)
    with torch.no_grad():
        for weight in masks.weights:
            weight.weight.add_(0.3 * torch.randn(weight.weight.shape, generator=draw))
    masks.apply_to_weights()
    return model, masks, began


@pytest.mark.parametrize("sign", ["negative", "positive"])
@pytest.mark.parametrize("count", [0, 1, 17, 60])
def test_takes_the_candidates_that_moved_least(sign: str, count: int) -> None:
    model, masks, began = a_round(Activating(sign=sign), SingleWeights())
    now = copy.deepcopy(model.state_dict())
    before = {weight.name: masks.of(weight).clone() for weight in masks.weights}
    candidates = sorted(
        (abs(float(now[name][i, j] - began.before[name][i, j])), name, i, j)
        for name, mask in before.items()
        for i, j in mask.nonzero().tolist()
        if (now[name][i, j] < 0) == (sign == "negative")
    )
    expected = {(name, i, j) for _, name, i, j in candidates[:count]}
    began.remove(count, torch.Generator().manual_seed(0))
    gone = {
        (name, i, j)
        for weight in masks.weights
        for name in [weight.name]
        for i, j in (before[name] & ~masks.of(weight)).nonzero().tolist()
    }
    assert gone == expected
    for name, value in model.state_dict().items():
        if name in before:
            assert torch.equal(value != 0, masks.keep[name])


def test_at_random_takes_candidates_only_and_as_many() -> None:
    model, masks, began = a_round(Activating(order="random"), SingleWeights())
    now = copy.deepcopy(model.state_dict())
    before = {weight.name: masks.of(weight).clone() for weight in masks.weights}
    began.remove(20, torch.Generator().manual_seed(0))
    gone = torch.cat([now[weight.name][before[weight.name] & ~masks.of(weight)] for weight in masks.weights])
    assert len(gone) == 20
    assert bool((gone < 0).all())


def test_no_layer_loses_its_last_weight_however_many_are_asked_for() -> None:
    _, masks, began = a_round(Activating(), SingleWeights())
    with torch.no_grad():
        for weight in masks.weights:
            weight.weight.copy_(-weight.weight.abs())
    moved = {weight.name: (weight.weight - began.before[weight.name]).abs() for weight in masks.weights}
    expected = {name: masks.keep[name] & (move == move[masks.keep[name]].max()) for name, move in moved.items()}
    began.remove(10_000, torch.Generator().manual_seed(0))
    assert {name: int(mask.sum()) for name, mask in expected.items()} == dict.fromkeys(expected, 1)
    assert all(torch.equal(masks.keep[name], mask) for name, mask in expected.items())


def test_groups_are_candidates_by_their_means_and_filters_take_their_bias() -> None:
    model, masks, began = a_round(Activating(), Filters())  # rows of 12 and of 20 weights
    first = masks.weights[0]
    now, moved = first.weight.detach().clone(), (first.weight.detach() - began.before[first.name]).abs().mean(1)
    began.remove(3 * 12, torch.Generator().manual_seed(0))
    gone = ~masks.of(first).any(1)
    assert 1 <= int(gone.sum()) <= 3
    assert bool((now[gone].mean(1) < 0).all())
    left = (now.mean(1) < 0) & ~gone
    assert float(moved[gone].max()) <= float(moved[left].min())
    assert torch.equal(model[0].bias == 0, gone)


def test_shares_are_of_what_is_alive_and_bounded_by_the_round() -> None:
    assert Activating(rate=0.02).share(1000, 200) == 20
    assert Activating(rate=0.05).share(999, 200) == 49
    assert Activating(rate=0.05, most=0.1).share(1000, 200) == 20
    assert Activating(rate=0.0).share(1000, 200) == 0


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.2, 0.95),
    st.sampled_from([Magnitude(), Taylor(), Lamp()]),
    st.sampled_from([Uniform(), Global(), ErdosRenyiKernel()]),
    st.sampled_from(
        [Iterative(rounds=3), Iterative(rounds=3, rewind=False), Cubic(every=0.2), OneShot(), OneShot(at=0)]
    ),
    st.builds(
        Activating,
        rate=st.sampled_from([0.0, 0.02, 0.3]),
        sign=st.sampled_from(["negative", "positive"]),
        order=st.sampled_from(["movement", "random"]),
    ),
)
def test_with_any_method_the_sparsity_is_the_methods(
    sparsity: float, score: Magnitude, allocation: Uniform, schedule: OneShot, activation: Activating
) -> None:
    base = HardMasks(sparsity=sparsity, score=score, allocation=allocation, schedule=schedule)
    counts = []
    for method in (base, base.replace(activation=activation)):
        run = method.start(network(), Regression(), epochs=2)
        train(run, Regression())
        counts.append(sum(run.target_nonzeros().values()))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("granularity", [SIMDBlocks(rows=4), Filters()])
def test_groups_stay_whole(granularity: SIMDBlocks | Filters) -> None:
    method = HardMasks(
        sparsity=0.5, granularity=granularity, schedule=Iterative(rounds=2), activation=Activating(rate=0.2)
    )
    run = method.start(network(), Regression(), epochs=3)
    train(run, Regression())
    for weight in prunable_weights(run.model):
        if weight.name in run.masks:
            mask = run.masks[weight.name]
            pieces = granularity.of(tuple(mask.shape))
            again = pieces.expand(pieces.active(mask), *mask.shape)
            assert torch.equal(again, mask)


def test_a_rate_of_nothing_is_the_method_alone() -> None:
    networks = []
    for activation in (None, Activating(rate=0.0)):
        torch.manual_seed(0)
        run = HardMasks(sparsity=0.8, schedule=Iterative(rounds=2), activation=activation).start(
            network(), Regression(), epochs=3
        )
        networks.append(train(run, Regression()))
    for left, right in zip(*(model.state_dict().values() for model in networks), strict=True):
        assert torch.equal(left, right)


def test_a_round_counts_from_the_rewound_weights_and_takes_its_share() -> None:
    """After the first pruning of two, weights are rewound; the second round's movement begins there."""
    task, model = Regression(count=4), network()
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    method = HardMasks(
        sparsity=0.75, allocation=Global(), schedule=Iterative(rounds=2), activation=Activating(rate=0.1)
    )
    run = method.start(model, task, epochs=3)
    optimizer = sgd(model)
    epoch_of(run, task, optimizer, 0)
    first = {name: mask.clone() for name, mask in run.masks.items()}
    assert run._round is not None
    for name, value in run._round.before.items():
        assert torch.equal(value, initial[name] * first[name])
    trained: dict[str, torch.Tensor] = {}
    for batch in task.batches("train", epoch=1):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        run.after_backward()
        optimizer.step()
        trained = {name: model.state_dict()[name].clone() for name in first}  # the last time, before the pruning
        run.after_step(optimizer)
    alive = sum(int(mask.sum()) for mask in first.values())
    target = math.ceil(0.25 * 320)
    spared = min(int(0.1 * alive), int(0.5 * (alive - target)))
    size = torch.cat([(trained[name] * first[name]).abs().flatten() for name in first])
    by_size = size >= size.topk(target + spared).values[-1]
    moved = torch.cat([(trained[name] - initial[name] * first[name]).abs().flatten() for name in first])
    value = torch.cat([trained[name].flatten() for name in first])
    candidates = by_size & (value < 0)
    taken = moved.masked_fill(~candidates, math.inf).argsort(stable=True)[:spared]
    expected = by_size.clone()
    expected[taken] = False
    assert torch.equal(torch.cat([run.masks[name].flatten() for name in first]), expected)


def test_reports_dead_neurons_round_by_round() -> None:
    task = Regression()
    run = HardMasks(sparsity=0.75, schedule=Iterative(rounds=2), activation=Activating()).start(
        network(), task, epochs=3
    )
    assert run.report() == {}
    train(run, task)
    rounds = run.report()["dead_neurons"]
    assert [rates["sparsity"] for rates in rounds] == pytest.approx([0.0, 0.5, 0.75], abs=0.01)
    assert rounds[-1] == {"sparsity": 0.75} | gossamer.dead_neurons.dead_neurons(run.model, task).to_json()
    plain = HardMasks(sparsity=0.75, schedule=Iterative(rounds=2)).start(network(), task, epochs=3)
    train(plain, task)
    assert plain.report() == {}


def test_the_named_method_is_the_papers_recipe() -> None:
    method = gossamer.method("ap")
    assert method == HardMasks(
        sparsity=0.9, score=Magnitude(), allocation=Global(), schedule=Iterative(rounds=10), activation=Activating()
    )
    assert 1 - (1 - method.sparsity) ** (1 / 10) == pytest.approx(0.2, abs=0.01)  # p; q is 0.02
    changed = gossamer.method("lottery", activation={"name": "activating", "rate": 0.05})
    assert changed.activation == Activating(rate=0.05)


def test_refuses_patterns_that_leave_it_nothing() -> None:
    with pytest.raises(SettingError, match="leave 'activation' out"):
        HardMasks(sparsity=0.5, granularity=NM(), activation=Activating())
