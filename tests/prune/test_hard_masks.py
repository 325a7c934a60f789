from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import ModelError, SettingError
from gossamer.prune import (
    NM,
    Cubic,
    ErdosRenyiKernel,
    Filters,
    Global,
    Gradient,
    HardMasks,
    Iterative,
    Magnitude,
    OneShot,
    Random,
    SIMDBlocks,
    SingleWeights,
    Taylor,
    Uniform,
)
from tests.prune.toy import Regression, epoch_of, network, sgd, sparsity, train

methods = st.builds(
    HardMasks,
    sparsity=st.floats(0.0, 0.98),
    score=st.sampled_from([Magnitude(), Magnitude(power=2.0), Gradient(), Taylor(), Random()]),
    granularity=st.sampled_from([SingleWeights(), SIMDBlocks(), SIMDBlocks(rows=3), Filters()]),
    allocation=st.sampled_from([Uniform(), Global(), ErdosRenyiKernel()]),
    schedule=st.sampled_from([OneShot(), OneShot(at=0.0), Cubic(every=0.2), Iterative(rounds=2)]),
)


@settings(max_examples=30)
@given(methods, st.integers(0, 2))
def test_any_product_of_choices_meets_its_budget(method: HardMasks, epochs: int) -> None:
    run = method.start(network(), Regression(), epochs=epochs)
    model = train(run, Regression())
    assert run.settled
    report = run.layer_report()
    total = sum(layer["parameters"] for layer in report)
    nonzeros = sum(layer["nonzeros"] for layer in report)
    largest = {"single-weights": 1, "simd-blocks": 16, "filters": 12}[method.granularity.name]
    smallest_possible = sum(largest for _ in report)
    assert nonzeros <= max(-(-round((1 - method.sparsity) * total, 6) // 1), smallest_possible)
    assert nonzeros > (1 - method.sparsity) * total - largest * len(report)
    for name, parameter in model.named_parameters():
        if name in run.masks:
            assert not parameter[~run.masks[name]].any()
            assert not torch.signbit(parameter[~run.masks[name]]).any()
        if name.endswith("weight"):
            assert parameter.any()


def test_one_shot_without_training_keeps_exactly_the_largest() -> None:
    dense = network()
    run = HardMasks(sparsity=0.75, allocation=Global()).start(copy.deepcopy(dense), Regression(), epochs=0)
    assert run.settled
    small = run.finish()
    before = torch.cat([dense[0].weight.flatten(), dense[2].weight.flatten()])
    after = torch.cat([small[0].weight.flatten(), small[2].weight.flatten()])
    expected = set(before.abs().topk(80).indices.tolist())
    assert set(after.nonzero().flatten().tolist()) == expected
    assert torch.equal(after[after != 0], before[after != 0])
    assert [type(module) for module in small] == [nn.Linear, nn.ReLU, nn.Linear]


def test_train_and_prune_is_dense_until_half_time_then_masked() -> None:
    task, model = Regression(), network()
    run = HardMasks(sparsity=0.9).start(model, task, epochs=4)
    optimizer = sgd(model)
    costs, settled, zeros = [], [], []
    for epoch in range(4):
        epoch_of(run, task, optimizer, epoch)
        costs.append(run.training_cost())
        settled.append(run.settled)
        zeros.append(sparsity(model))
    assert settled == [False, True, True, True]
    assert zeros == [0.0, 0.9, 0.9, 0.9]
    assert costs[0] == 3.0
    assert costs[1:] == pytest.approx([0.3] * 3, rel=0.02)
    assert run.target_nonzeros() == {"0.weight": 24, "2.weight": 8}


def test_gradual_sparsity_follows_the_cubic() -> None:
    task, model = Regression(count=10), network()
    run = HardMasks(sparsity=0.8, schedule=Cubic(start=0.0, end=1.0, every=0.1)).start(model, task, epochs=1)
    optimizer, seen = sgd(model), []
    for batch in task.batches("train"):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        run.after_backward()
        optimizer.step()
        run.after_step(optimizer)
        seen.append(sparsity(model))
    expected = [0.8 * (1 - (1 - (i + 1) / 10) ** 3) for i in range(10)]
    assert seen == pytest.approx(expected, abs=1 / 320)
    assert all(seen[i] <= expected[i] + 1e-9 for i in range(10))


def test_rewinding_goes_back_to_the_snapshot_and_forgets_momentum() -> None:
    task, model = Regression(count=4), nn.Sequential(network(), nn.BatchNorm1d(4))
    method = HardMasks(sparsity=0.75, schedule=Iterative(rounds=1, rewind_to=0.5))
    run = method.start(model, task, epochs=2)  # prunes after step 4 of 8, rewinds to step 2
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    snapshot: dict[str, torch.Tensor] = {}
    for step, batch in enumerate(task.batches("train"), start=1):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        run.after_backward()
        optimizer.step()
        run.after_step(optimizer)
        if step == 2:
            snapshot = {name: value.clone() for name, value in model.state_dict().items()}
    assert run.settled
    for name, value in model.state_dict().items():
        keep = run.masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[keep], snapshot[name][keep]), name
    assert not any(value.any() for state in optimizer.state.values() for value in state.values())


def test_training_that_ends_early_is_pruned_at_the_end() -> None:
    run = HardMasks(sparsity=0.9).start(network(), Regression(), epochs=10)
    epoch_of(run, Regression(), sgd(run.model), 0)
    assert not run.settled
    assert run.target_nonzeros() is None
    assert sparsity(run.finish()) == 0.9
    assert run.settled


def test_filters_leave_the_outputs_of_the_network_alone() -> None:
    run = HardMasks(sparsity=0.5, granularity=Filters()).start(network(), Regression(), epochs=0)
    model = run.finish()
    assert set(run.masks) == {"0.weight", "0.bias"}
    assert int((model[0].weight == 0).all(1).sum()) == 10
    assert torch.equal(model[0].bias == 0, (model[0].weight == 0).all(1))
    with pytest.raises(ModelError, match="leave no weight to prune"):
        HardMasks(granularity=Filters()).start(nn.Linear(12, 4), Regression(), epochs=0)


@pytest.mark.parametrize(
    "method",
    [
        HardMasks(sparsity=0.8, score=Random(), schedule=Cubic(every=0.2)),
        HardMasks(sparsity=0.8, schedule=Iterative(rounds=2, rewind_to=0.5)),
        HardMasks(sparsity=0.8, score=Taylor()),
    ],
)
@pytest.mark.parametrize("stop", [1, 2, 4])
def test_resumed_equals_straight(method: HardMasks, stop: int) -> None:
    task = Regression()

    def begin() -> tuple[nn.Module, torch.optim.Optimizer, object]:
        torch.manual_seed(5)
        model = network()
        return model, sgd(model), method.start(model, task, epochs=5)

    model, optimizer, run = begin()
    for epoch in range(stop):
        epoch_of(run, task, optimizer, epoch)
    state = copy.deepcopy((model.state_dict(), optimizer.state_dict(), run.state_dict()))
    for epoch in range(stop, 5):
        epoch_of(run, task, optimizer, epoch)
    straight = run.finish().state_dict()

    torch.manual_seed(99)
    model, optimizer, run = begin()
    model.load_state_dict(state[0])
    optimizer.load_state_dict(state[1])
    run.load_state_dict(state[2])
    for epoch in range(stop, 5):
        epoch_of(run, task, optimizer, epoch)
    resumed = run.finish().state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_n_m_fixes_the_sparsity_and_the_allocation() -> None:
    with pytest.raises(SettingError, match=r"keeping 2 of 4 is sparsity 0\.5"):
        HardMasks(sparsity=0.9, granularity=NM())
    with pytest.raises(SettingError, match="allocation 'global' has no say"):
        HardMasks(sparsity=0.5, granularity=NM(), allocation=Global())
