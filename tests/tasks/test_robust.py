"""Attacks against the closed form of a linear model; TRADES against its formula."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import gossamer
from gossamer.models import for_task
from gossamer.tasks import Attack, ImageClassification, Images, Robust, Robustness
from gossamer.tasks.robust import divergence
from gossamer.train import Training


def images(*, floats: bool = False) -> ImageClassification:
    """Two channels of mid-grey noise, the first of them a little brighter in class 1."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(60, 196, (120, 2, 4, 4), generator=draw)
    y = torch.arange(120) % 2
    x[y == 1, 0] += 20
    x = x / 255 if floats else x.to(torch.uint8)
    return ImageClassification(Images(x[:80], y[:80], x[80:], y[80:], 2), batch_size=20)


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 2))


@pytest.mark.parametrize("start", ["noise", "box"])
def test_on_a_linear_model_the_attack_is_the_corner_of_the_box(start: str) -> None:
    task, model = images(), linear()
    (x, y), *_ = task.batches("test")
    attack = Attack(radius=0.03, steps=20, step=0.01, start=start)
    robust = Robust(task, Robustness(test=attack))
    low, high = task.pixel_range()
    moved = robust.attacked(x, lambda x: F.cross_entropy(model(x), y), attack, torch.zeros_like(x))
    rise = (model[1].weight[0] - model[1].weight[1]).view(2, 4, 4)  # towards class 0
    corner = x + 0.03 * (high - low) * torch.where((y == 1).view(-1, 1, 1, 1), rise, -rise).sign()
    torch.testing.assert_close(moved, corner)
    with torch.no_grad():
        expected = float((model(corner).argmax(1) == y).float().mean())
    assert robust.accuracy_under(model, "test", attack) == pytest.approx(expected)
    assert expected < robust.accuracy_under(model, "test", attack.replace(radius=0.0))


@pytest.mark.parametrize("floats", [False, True])
def test_stays_in_the_box_and_in_the_range_of_pixels(floats: bool) -> None:
    task, model = images(floats=floats), linear()
    (x, y), *_ = task.batches("test")
    attack = Attack(radius=0.9, steps=5, step=0.4)
    low, high = task.pixel_range()
    moved = Robust(task).attacked(x, lambda x: F.cross_entropy(model(x), y), attack, torch.randn_like(x))
    assert bool((moved >= low - 1e-5).all())
    assert bool((moved <= high + 1e-5).all())
    assert bool(((moved - x).abs() <= 0.9 * (high - low) + 1e-5).all())
    bounds = (low * task._std + task._mean).flatten(), (high * task._std + task._mean).flatten()
    if floats:
        assert bool((bounds[0] >= 0).all() and (bounds[1] <= 1).all())
    else:
        torch.testing.assert_close(torch.stack(bounds), torch.tensor([[0.0, 0.0], [255.0, 255.0]]), atol=1e-3, rtol=0)


def test_divergence_is_that_of_the_distributions() -> None:
    left, right = torch.randn(6, 5), torch.randn(6, 5)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=left), torch.distributions.Categorical(logits=right)
    ).mean()
    torch.testing.assert_close(divergence(left, right), expected)
    assert float(divergence(left, left)) == pytest.approx(0.0, abs=1e-6)


def test_the_loss_is_cross_entropy_and_the_divergence_under_attack() -> None:
    task, model = images(), linear()
    batch = next(task.batches("train"))

    def loss(robustness: Robustness) -> float:
        return Robust(task, robustness).loss(model, batch).item()

    plain = task.loss(model, batch).item()
    assert loss(Robustness(beta=0.0)) == pytest.approx(plain)
    assert loss(Robustness(train=Attack(radius=0.0))) == pytest.approx(plain, abs=1e-5)
    losses = [loss(Robustness(beta=beta)) for beta in (1.0, 2.0)]
    assert losses[1] - plain == pytest.approx(2.0 * (losses[0] - plain), rel=0.05)
    wide = [loss(Robustness(train=Attack(radius=radius))) for radius in (0.01, 0.05)]
    assert plain < wide[0] < wide[1]


def test_the_attack_runs_in_eval_mode_and_leaves_no_gradient() -> None:
    task = images()
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 2)).train()
    loss = Robust(task).loss(model, next(task.batches("train")))
    assert model[0].num_batches_tracked == 2  # the images, and the images that were moved
    assert all(value.grad is None for value in model.parameters())
    assert model.training
    loss.backward()
    assert model[3].weight.grad is not None
    with torch.no_grad():
        assert float(Robust(task).loss(model, next(task.batches("train")))) > 0.0


def test_evaluates_under_attack_first_and_always_the_same() -> None:
    task, model = Robust(images()), linear()
    found, chance = task.evaluate(model, "val"), torch.get_rng_state()
    assert next(iter(found)) == task.metric == "robust_accuracy"
    assert found == task.evaluate(model, "val")
    assert torch.equal(chance, torch.get_rng_state())
    assert found["accuracy"] == task.images.evaluate(model, "val")["accuracy"]
    assert found["robust_accuracy"] <= found["accuracy"]


def test_training_against_attacks_holds_up_better() -> None:
    plain = images()
    attack = Attack(radius=0.05, steps=5, step=0.02)
    robust = Robust(plain, Robustness(train=attack, test=attack.replace(start="box")))
    training = Training(epochs=15, keep_best=False, validate_every=15)
    found = {}
    for name, task in (("plain", plain), ("robust", robust)):
        result = gossamer.compress(
            linear(), task, gossamer.method("magnitude", sparsity=0.5), training=training, progress=False,
            accelerate=False, latency=False,
        )  # fmt: skip
        found[name] = robust.evaluate(result.model, "train")["robust_accuracy"]
    assert found["robust"] > found["plain"]


def test_says_the_rest_as_the_images_do() -> None:
    task = images()
    robust = Robust(task)
    assert (robust.steps(), robust.dimensions(), robust.examples_per_step()) == (
        task.steps(),
        task.dimensions(),
        task.examples_per_step(),
    )
    assert torch.equal(robust.example()[0], task.example()[0])
    assert isinstance(for_task("lenet", robust), nn.Module)
    moved = copy.copy(robust).to("cpu")
    assert moved.images is not robust.images
    assert moved.robustness == robust.robustness
