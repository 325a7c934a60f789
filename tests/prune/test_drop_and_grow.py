from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from gossamer.compression import compress
from gossamer.errors import SettingError
from gossamer.prune import (
    NM,
    AtRandom,
    ByGradient,
    ByMomentum,
    DropAndGrow,
    Filters,
    Global,
    Magnitude,
    SignedRank,
    SIMDBlocks,
    Taylor,
    Uniform,
    Untried,
)
from gossamer.tasks import LoaderTask
from gossamer.train import Training
from tests.prune.toy import Regression, epoch_of, network, sgd, sparsity, train


def reference_update(
    weight: np.ndarray, mask: np.ndarray, gradient: np.ndarray, zeta: float
) -> tuple[np.ndarray, np.ndarray]:
    """One update as the paper states it, an index at a time; returns the surviving and the new mask."""
    w, m, g = weight.ravel(), mask.ravel().copy(), gradient.ravel()
    active = [i for i in range(m.size) if m[i]]
    k = math.ceil(zeta * len(active))
    for i in sorted(active, key=lambda i: (abs(w[i]), -i))[:k]:
        m[i] = False
    survivors = m.copy()
    removed = [i for i in range(m.size) if not m[i]]
    for i in sorted(removed, key=lambda i: (-abs(g[i]), i))[:k]:
        m[i] = True
    return survivors.reshape(mask.shape), m.reshape(mask.shape)


@settings(max_examples=15)
@given(st.floats(0.1, 0.95), st.integers(1, 4), st.sampled_from([1.0, 0.5]), st.integers(0, 100))
def test_every_step_against_brute_force(level: float, every: int, until: float, seed: int) -> None:
    task, model = Regression(), network(seed)
    method = DropAndGrow(sparsity=level, every=every, until=until)
    run = method.start(model, task, epochs=4)
    optimizer = sgd(model)
    mask = {name: value.numpy() for name, value in run.masks.items()}
    step, steps, moved = 0, 12, 0
    for epoch in range(4):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            named = {name: model.get_parameter(name) for name in mask}
            gradient = {name: value.grad.numpy().copy() for name, value in named.items()}
            run.after_backward()
            for name, value in named.items():
                np.testing.assert_array_equal(value.grad.numpy(), gradient[name] * mask[name])
            optimizer.step()
            step += 1
            weight = {name: value.detach().numpy() * mask[name] for name, value in named.items()}
            momentum = {
                name: optimizer.state[value]["momentum_buffer"].numpy() * mask[name] for name, value in named.items()
            }
            run.after_step(optimizer)
            if step % every == 0 and step <= until * steps and step < steps:
                zeta = 0.005 + (0.5 - 0.005) * (1 + math.cos(math.pi * step / (until * steps))) / 2
                for name, before in mask.items():
                    survivors, mask[name] = reference_update(weight[name], before, gradient[name], zeta)
                    weight[name], momentum[name] = weight[name] * survivors, momentum[name] * survivors
                    moved += 1
            for name, value in named.items():
                np.testing.assert_array_equal(run.masks[name].numpy(), mask[name])
                np.testing.assert_array_equal(value.detach().numpy(), weight[name])
                np.testing.assert_array_equal(optimizer.state[value]["momentum_buffer"].numpy(), momentum[name])
    assert moved == 2 * len([t for t in range(1, 12) if t % every == 0 and t <= until * 12])


@pytest.mark.parametrize("grow", [ByGradient(), AtRandom(), Untried(), ByMomentum()])
@pytest.mark.parametrize("drop", [Magnitude(), SignedRank(), Taylor(power=2.0)])
@pytest.mark.parametrize("granularity", [None, SIMDBlocks(), SIMDBlocks(rows=8)])
def test_the_number_of_weights_never_changes(grow, drop, granularity) -> None:
    task, model = Regression(), network(hidden=32)
    changes = {} if granularity is None else {"granularity": granularity}
    run = DropAndGrow(sparsity=0.75, grow=grow, drop=drop, every=1, **changes).start(model, task, epochs=2)
    optimizer, first = sgd(model), dict(run.masks)
    counts = run.target_nonzeros()
    assert 0.95 * 0.25 * 512 <= sum(counts.values()) <= 0.25 * 512
    for epoch in range(2):
        epoch_of(run, task, optimizer, epoch)
        assert run.target_nonzeros() == counts
        for name, mask in run.masks.items():
            assert not model.get_parameter(name)[~mask].any()
            rows = 1 if granularity is None else granularity.rows
            for block in mask.split(rows):
                assert torch.equal(block, block[:1].expand_as(block))
    assert any(not torch.equal(mask, first[name]) for name, mask in run.masks.items())
    assert sparsity(run.finish()) >= 0.75
    assert run.settled


def test_blocks_of_unequal_height_never_exceed_the_budget() -> None:
    task, model = Regression(), network(hidden=21)
    method = DropAndGrow(sparsity=0.8, grow=AtRandom(), granularity=SIMDBlocks(rows=16), every=1, last=0.3)
    run = method.start(model, task, epochs=6)
    budgets, optimizer, seen = run.target_nonzeros(), sgd(model), []
    for epoch in range(6):
        epoch_of(run, task, optimizer, epoch)
        seen.append(run.target_nonzeros()["0.weight"])
        assert all(count <= budgets[name] for name, count in run.target_nonzeros().items())
    assert min(seen) > budgets["0.weight"] - 16  # short by less than one block


def test_an_update_that_moves_nothing_changes_nothing() -> None:
    task = Regression()
    run = DropAndGrow(sparsity=0.5, first=1e-9, last=0.0, every=3, until=0.5).start(network(), task, epochs=2)
    counts, masks = run.target_nonzeros(), run.masks
    assert run.fraction(3) == 0.0
    train(run, task)
    assert run.target_nonzeros() == counts
    assert all(torch.equal(masks[name], mask) for name, mask in run.masks.items())


def test_without_an_update_every_step_costs_what_the_sparse_network_costs() -> None:
    run = DropAndGrow(sparsity=0.9, every=50).start(network(), Regression(), epochs=2)
    share = sum(run.target_nonzeros().values()) / 320
    assert run.training_cost() == pytest.approx(3 * share)


def test_simd_blocks_move_by_the_sum_of_their_members() -> None:
    task, model = Regression(), nn.Linear(12, 4)
    method = DropAndGrow(sparsity=0.5, granularity=SIMDBlocks(rows=2), allocation=Uniform(), every=1)
    run = method.start(model, task, epochs=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    before = run.masks["weight"]
    batch = next(iter(task.batches("train")))
    task.loss(model, batch).backward()
    gradient = model.weight.grad.clone()
    run.after_backward()
    optimizer.step()
    weight = (model.weight.detach() * before).abs()
    run.after_step(optimizer)

    pairs = weight.view(2, 2, 12).sum(1).flatten()
    active = before[::2].flatten()
    k = math.ceil(run.fraction(1) * 12)
    dropped = sorted((i for i in range(24) if active[i]), key=lambda i: float(pairs[i]))[:k]
    active[dropped] = False
    promise = gradient.abs().view(2, 2, 12).sum(1).flatten()
    grown = sorted((i for i in range(24) if not active[i]), key=lambda i: -float(promise[i]))[:k]
    active[grown] = True
    assert torch.equal(run.masks["weight"], active.view(2, 1, 12).expand(2, 2, 12).reshape(4, 12))


def test_set_drops_as_many_on_either_side_of_zero() -> None:
    task, model = Regression(), nn.Linear(12, 4)
    method = DropAndGrow(sparsity=0.25, drop=SignedRank(), grow=AtRandom(), every=1, allocation=Uniform())
    run = method.start(model, task, epochs=2)
    before = run.masks["weight"]
    weight = torch.linspace(-3.0, 3.2, 48).view(4, 12) * before
    with torch.no_grad():
        model.weight.copy_(weight)
    run.after_step()
    k = math.ceil(run.fraction(1) * 36)
    gone = before & (model.weight == 0)
    assert int(gone.sum()) == k
    positive, negative = int((weight[gone] > 0).sum()), int((weight[gone] < 0).sum())
    assert abs(positive - negative) <= 1
    for side in (weight > 0, weight < 0):
        stayed, left = weight[side & before & ~gone].abs(), weight[side & gone].abs()
        assert float(left.max()) < float(stayed.min())


def test_untried_weights_come_first() -> None:
    run = DropAndGrow(sparsity=0.5, grow=Untried(), every=1, last=0.1).start(network(), Regression(), epochs=9)
    tried = run.masks["0.weight"]
    optimizer, task = sgd(run.model), Regression()
    for epoch in range(2):
        for batch in task.batches("train", epoch=epoch):
            before = run.masks["0.weight"]
            optimizer.zero_grad()
            task.loss(run.model, batch).backward()
            run.after_backward()
            optimizer.step()
            run.after_step(optimizer)
            grown = run.masks["0.weight"] & ~before
            fresh = grown & ~tried
            tried = tried | grown
            assert torch.equal(fresh, grown) or bool(tried.all())


def test_momentum_growth_follows_the_running_sum_of_dense_gradients() -> None:
    task, model = Regression(), nn.Linear(12, 4)
    method = DropAndGrow(sparsity=0.5, grow=ByMomentum(decay=0.5), every=3, allocation=Uniform())
    run = method.start(model, task, epochs=2)
    optimizer, total = torch.optim.SGD(model.parameters(), lr=0.05), torch.zeros(4, 12)
    before = run.masks["weight"]
    for batch in task.batches("train"):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        total = 0.5 * total + model.weight.grad
        run.after_backward()
        optimizer.step()
        weight = model.weight.detach().numpy() * before.numpy()
        run.after_step(optimizer)
    _, expected = reference_update(weight, before.numpy(), total.numpy(), run.fraction(3))
    np.testing.assert_array_equal(run.masks["weight"].numpy(), expected)


def test_the_annealing_of_the_moved_fraction() -> None:
    run = DropAndGrow(until=0.75).start(network(), Regression(), epochs=40)  # 120 steps
    assert run.fraction(0) == 0.5
    assert run.fraction(45) == pytest.approx((0.5 + 0.005) / 2)
    assert run.fraction(90) == pytest.approx(0.005)


def test_training_cost_is_the_published_mean() -> None:
    task = Regression()
    run = DropAndGrow(sparsity=0.9, every=5, until=0.5, allocation=Global()).start(network(), task, epochs=4)
    f = sum(run.target_nonzeros().values()) / 320  # all multiply-accumulates are in the two layers
    assert run.training_cost() == pytest.approx((3 * f * 5 + 2 * f + 1) / 6)
    train(run, task)
    assert run.training_cost() == pytest.approx(3 * f)


def test_a_trained_network_can_keep_its_largest_weights_at_first() -> None:
    model = network()
    largest = set(model[0].weight.abs().flatten().topk(24).indices.tolist())
    run = DropAndGrow(initial=Magnitude(), allocation=Uniform()).start(model, Regression(), epochs=0)
    assert set(run.finish()[0].weight.flatten().nonzero().flatten().tolist()) == largest


@pytest.mark.parametrize("grow", [ByGradient(), AtRandom(), Untried(), ByMomentum()])
@pytest.mark.parametrize("stop", [1, 3])
def test_resumed_equals_straight(grow, stop: int) -> None:
    task = Regression()
    method = DropAndGrow(sparsity=0.8, grow=grow, every=2)

    def begin() -> tuple[nn.Module, torch.optim.Optimizer, object]:
        model = network()
        return model, sgd(model), method.start(model, task, epochs=5)

    torch.manual_seed(5)
    model, optimizer, run = begin()
    for epoch in range(stop):
        epoch_of(run, task, optimizer, epoch)
    state = copy.deepcopy((model.state_dict(), optimizer.state_dict(), run.state_dict()))
    for epoch in range(stop, 5):
        epoch_of(run, task, optimizer, epoch)
    straight = run.finish().state_dict()

    torch.manual_seed(6)  # the state alone decides, not the seed of the second start
    model, optimizer, run = begin()
    model.load_state_dict(state[0])
    optimizer.load_state_dict(state[1])
    run.load_state_dict(state[2])
    for epoch in range(stop, 5):
        epoch_of(run, task, optimizer, epoch)
    resumed = run.finish().state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_the_initial_masks_come_from_the_seed_of_the_run() -> None:
    def masks(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return DropAndGrow().start(network(), Regression(), epochs=1).masks["0.weight"]

    assert torch.equal(masks(1), masks(1))
    assert not torch.equal(masks(1), masks(2))


@pytest.mark.parametrize("granularity", [NM(), Filters()])
def test_groups_that_cannot_come_back_are_refused(granularity) -> None:
    with pytest.raises(SettingError, match="cannot grow back from zero; use 'single-weights'"):
        DropAndGrow(sparsity=0.5, granularity=granularity)
    with pytest.raises(SettingError, match="expected last <= first"):
        DropAndGrow(first=0.1, last=0.2)


@pytest.mark.parametrize(
    ("settings", "epochs", "moves"),
    [
        ({"every": 5}, 2, True),  # six steps, an update after the fifth
        ({"every": 6}, 2, False),  # none after the last step
        ({"every": 5, "until": 0.5}, 2, False),
        ({"every": 50}, 2, False),
        ({"every": 50}, 0, True),  # nothing is trained, so nothing is to be said
    ],
)
def test_training_too_short_for_an_update_is_said_and_true(settings, epochs: int, moves: bool) -> None:
    torch.manual_seed(0)
    run = DropAndGrow(sparsity=0.8, **settings).start(network(), Regression(), epochs=epochs)
    before = {name: mask.clone() for name, mask in run.masks.items()}
    train(run, Regression())
    assert (run.notes() == ()) == moves
    if epochs:
        assert moves != all(torch.equal(mask, before[name]) for name, mask in run.masks.items())


def test_the_note_is_in_the_result_with_what_to_do() -> None:
    data = TensorDataset(torch.randn(24, 12), torch.randint(4, (24,)))
    task = LoaderTask(data, data, data, batch_size=8)
    training = Training(epochs=7)
    made = compress(network(), task, DropAndGrow(every=50), training=training, latency=False, progress=False)
    assert [note for note in made.notes if "moved" in note] == [
        "No weight was moved: updates come every 50 steps, and training has 21. "
        "Set 'every' to 2, or train for more epochs."
    ]
