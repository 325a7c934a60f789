from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn

from gossamer.compression import compress, method
from gossamer.errors import SettingError, TrainingError
from gossamer.models import for_task
from gossamer.prune import (
    NM,
    Channels,
    Columns,
    Filters,
    Granularity,
    Patterns,
    SIMDBlocks,
    SingleWeights,
    Splitting,
)
from gossamer.prune.patterns import kernel_patterns
from gossamer.prune.splitting import RunningMean
from gossamer.tasks import ImageClassification
from gossamer.train import SGD, Training
from tests.battery.networks import NETWORKS
from tests.prune.toy import Regression, epoch_of, network, sgd, train

CNN = next(one for one in NETWORKS if one.name == "cnn")


def groups_of(places: torch.Tensor) -> list[list[int]]:
    """Makes groups of a tensor whose equal entries belong together."""
    flat = places.flatten().tolist()
    return [[i for i, place in enumerate(flat) if place == group] for group in sorted(set(flat))]


ROW = torch.arange(4)[:, None, None, None].expand(4, 2, 3, 3)
INPUT = torch.arange(2)[None, :, None, None].expand(4, 2, 3, 3)
PLACE = torch.arange(18).view(1, 2, 3, 3).expand(4, 2, 3, 3)


@pytest.mark.parametrize(
    ("granularity", "groups"),
    [
        (SIMDBlocks(rows=4), groups_of(PLACE)),
        (Columns(), groups_of(PLACE)),
        (Columns(width=2), groups_of(PLACE // 2)),
        (Columns(width=6), groups_of(PLACE // 6)),
        (Channels(), groups_of(INPUT)),
    ],
    ids=lambda value: value.name if isinstance(value, Granularity) else "",
)
@pytest.mark.parametrize("seed", range(3))
def test_the_projection_is_the_nearest_point(granularity: Granularity, groups: list[list[int]], seed: int) -> None:
    layer = nn.Conv2d(2, 4, 3)
    values = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    nearest, count = math.inf, max(len(groups) // 6, 1)
    for chosen in itertools.combinations(groups, count):
        kept = torch.zeros(72)
        kept[list(itertools.chain(*chosen))] = 1.0
        nearest = min(nearest, float((values - values * kept.view_as(values)).norm()))
    assert distance(layer, granularity, 1 - count / len(groups), values) == pytest.approx(nearest)


@pytest.mark.parametrize("seed", range(3))
def test_the_projection_of_single_weights_rows_n_m_and_patterns(seed: int) -> None:
    values = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    layer = nn.Conv2d(2, 4, 3)
    smallest = values.flatten().square().sort().values
    assert distance(layer, SingleWeights(), 0.75, values) == pytest.approx(float(smallest[:54].sum().sqrt()))

    rows = values.flatten(1).square().sum(1).sort().values
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(4, 2))  # the last layer keeps its rows
    assert distance(model, Filters(), 0.5, values) == pytest.approx(float(rows[:2].sum().sqrt()))

    flat = values.flatten(1)[:, :16].square().reshape(4, 4, 4).sort(dim=2).values[:, :, :2].sum()
    rest = values.flatten(1)[:, 16:].square().min(dim=1).values.sum()  # a piece of two keeps one
    assert distance(layer, NM(), 0.5, values) == pytest.approx(float((flat + rest).sqrt()))

    lost = torch.stack([(values.view(-1, 9).square() * ~pattern).sum(1) for pattern in kernel_patterns()])
    assert distance(layer, Patterns(), 0.4444, values) == pytest.approx(float(lost.min(0).values.sum().sqrt()))


def distance(model: nn.Module, granularity: Granularity, sparsity: float, values: torch.Tensor) -> float:
    """Returns how far the projection moves `values` in place of the first weight."""

    class Images(Regression):
        def example(self) -> tuple[Any, ...]:
            return (torch.zeros(1, 2, 3, 3),)

    run = Splitting(granularity=granularity, sparsity=sparsity).start(model, Images(), epochs=5)
    given = dict(model.named_parameters())
    name = next(iter(given))
    projected = run.project(given | {name: values})[name]
    assert not bool(((projected != 0) & (projected != values)).any())
    return float((projected - values).norm())


@pytest.mark.parametrize("name", ["slr", "admm"])
def test_it_trains_splits_cuts_and_retrains(name: str) -> None:
    task, model = Regression(), network()
    run = method(name, sparsity=0.75, least_steps=1).start(model, task, epochs=8)
    optimizer = sgd(model)
    seen = []
    for epoch in range(8):
        penalty = run.penalty()
        seen.append("settled" if run.settled else "split" if penalty is not None else "dense")
        zeros = int((model[0].weight == 0).sum())
        assert (zeros > 0) == run.settled
        epoch_of(run, task, optimizer, epoch)
    assert seen == ["dense"] * 2 + ["split"] * 4 + ["settled"] * 2
    small = run.finish()
    assert sum(int(w.count_nonzero()) for w in (small[0].weight, small[2].weight)) == 80  # type: ignore[index]
    assert run.training_cost() < 1.5
    assert run.report()["updates"] == 3


def test_the_first_penalty_is_the_distance_to_the_cut_network() -> None:
    model = network()
    run = method("slr", sparsity=0.75, pretrain=0.0, rho=0.3, least_steps=1).start(model, Regression(), epochs=4)
    weights = [model[0].weight, model[2].weight]
    lost = sum(float(w.detach().square().sum()) for w in weights)
    kept = method("slr", sparsity=0.75).start(network(), Regression(), epochs=0).finish()
    lost -= sum(float(w.detach().square().sum()) for w in (kept[0].weight, kept[2].weight))  # type: ignore[index]
    penalty = run.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.5 * 0.3 * lost, rel=1e-5)
    penalty.backward()
    gradient = model[0].weight.grad
    assert gradient is not None
    torch.testing.assert_close(gradient, 0.3 * (model[0].weight - kept[0].weight))  # type: ignore[index]


def test_what_is_reported_is_what_training_without_retraining_would_give() -> None:
    training = Training(optimizer=SGD(learning_rate=0.02))
    options: dict[str, Any] = {"accelerate": False, "latency": False, "progress": False}
    long = compress(
        CNN.model(), CNN.task(), method("slr", sparsity=0.8), training=training.replace(epochs=8), **options
    )
    torch.manual_seed(0)
    whole, task = CNN.model(), CNN.task()
    short = method("slr", sparsity=0.8, pretrain=2 / 6, retrain=0.0)
    cut = compress(whole, task, short, training=training.replace(epochs=6), **options)
    again = compress(whole, task, method("slr", sparsity=0.8), training=training.replace(epochs=8), **options)
    assert again.report["test"] == cut.quality == cut.report["test"]
    assert again.report["val"] == cut.validation
    assert again.report["residual"] == cut.report["residual"]
    assert cut.to_json()["report"] == cut.report
    assert any("before 2 more epochs, test accuracy was" in note for note in long.notes)
    assert cut.notes == ()


@pytest.mark.parametrize(("epochs", "every", "updates"), [(41, 1, 4), (41, 7, 5), (41, 12, 3), (6, 1, 1)])
def test_projections_are_some_steps_apart(epochs: int, every: int, updates: int) -> None:
    """A full-batch epoch is one step: ten of them at least, unless fewer lie between the split and the cut."""
    task = CNN.task()
    chosen = method("slr", every=every, least_steps=10 * task.steps() if every == 1 else 1, pretrain=0.0, retrain=0.0)
    run = chosen.start(CNN.model(), task, epochs=epochs)
    for epoch in range(epochs):
        run.after_loss(torch.tensor(1.0))
        run.penalty()
        run.after_epoch(epoch)
    assert run.report()["updates"] == updates


@pytest.mark.parametrize(
    ("granularity", "sparsity"),
    [(SIMDBlocks(), 0.8), (Filters(), 0.5), (Columns(), 0.5), (Channels(), 0.3), (NM(), 0.5), (Patterns(), 0.4444)],
    ids=lambda value: value.name if isinstance(value, Granularity) else "",
)
@pytest.mark.parametrize("name", ["slr", "admm"])
def test_any_granularity_gives_its_structure(name: str, granularity: Granularity, sparsity: float) -> None:
    chosen = method(name, sparsity=sparsity, granularity=granularity, rho=0.5)
    run = chosen.start(CNN.model(), CNN.task(), epochs=5)
    model = train(run, CNN.task())
    weight = dict(model.named_parameters())["3.weight"].detach()  # (32, 16, 3, 3)
    kept = (weight != 0).float()
    report = {layer["name"]: layer for layer in run.layer_report()}
    assert report["3.weight"]["nonzeros"] == int(kept.sum())
    assert 0 < 1 - kept.mean() < 1
    match granularity:
        case SIMDBlocks():
            assert all(bool((block == block[0]).all()) for block in kept.flatten(1).split(16))
        case Filters():
            rows = kept.flatten(1).any(1)
            assert rows.sum() < 32
            assert not dict(model.named_parameters())["3.bias"][~rows].any()
            assert "6.weight" not in report
        case Columns():
            assert bool((kept == kept[0]).all())
        case Channels():
            assert bool((kept == kept[:1, :, :1, :1]).all())
        case NM():
            assert bool((kept.reshape(-1, 4).sum(1) <= 2).all())
        case Patterns():
            patterns = kernel_patterns().float()
            assert all(any(torch.equal(kernel, pattern) for pattern in patterns) for kernel in kept.view(-1, 9))


@pytest.mark.parametrize("name", ["mixer", "swin", "vit"])
def test_networks_of_patches_are_cut_too(name: str) -> None:
    task = CNN.task()
    assert isinstance(task, ImageClassification)
    run = method("slr", sparsity=0.9).start(for_task(name, task), task, epochs=4)
    train(run, task)
    layers = run.layer_report()
    total, kept = (sum(layer[what] for layer in layers) for what in ("parameters", "nonzeros"))
    assert kept == math.ceil(round(0.1 * total, 6))
    assert run.report()["updates"] == 1


def test_a_strong_pull_leaves_little_to_cut() -> None:
    chosen = method("slr", sparsity=0.8, pretrain=0.0, retrain=0.0, least_steps=1)
    weak = chosen.replace(rho=0.01).start(network(), Regression(), epochs=20)
    strong = chosen.replace(rho=3.0).start(network(), Regression(), epochs=20)
    train(weak, Regression())
    train(strong, Regression())
    assert strong.report()["residual"] < 0.1 * weak.report()["residual"]


def test_a_loop_that_does_not_say_its_loss_is_refused() -> None:
    run = method("slr", pretrain=0.0, least_steps=1).start(network(), Regression(), epochs=4)
    run.penalty()
    with pytest.raises(TrainingError, match="was not told the loss"):
        run.after_epoch(0)


def test_parts_that_leave_nothing_are_refused() -> None:
    with pytest.raises(SettingError, match=r"pretrain is 0\.5 and retrain is 0\.5; expected less than 1 together"):
        method("slr", pretrain=0.5, retrain=0.5)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_short_training_still_splits_and_says_what_is_missing(epochs: int) -> None:
    run = method("slr", every=3).start(network(), Regression(), epochs=epochs)
    train(run, Regression())
    assert run.settled
    assert run.report()["updates"] == 0
    assert run.notes()[0].startswith("The copy was never projected anew: that happens every 3 epochs")


def test_a_running_mean_survives_its_state() -> None:
    mean, other = RunningMean(), RunningMean()
    assert mean.take() is None
    for value in (1.0, 2.0, 6.0):
        mean.add(torch.tensor(value))
    other.load_state_dict(mean.state_dict())
    assert mean.take() == other.take() == 3.0
    assert mean.take() is None
