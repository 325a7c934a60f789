"""Sparse and well-conditioned weights: does pruning spoil their condition, and does holding it make networks robust?

Feng, Lin, Gao & Wei, "Lipschitz constant meets condition number: learning robust and compact deep neural networks",
2025 (arXiv 2503.20454). Here a perceptron and a small convolutional network train by TRADES against five steps of
projected gradient ascent, with either constraint, with both, with a plain L1 penalty or with none; then `hydra` prunes
each for as many epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from gossamer.compression import Compressed, method
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset
from gossamer.prune.constraints import L1
from gossamer.settings import Settings, bounded
from gossamer.tasks import Attack, Robust, Robustness, Task
from gossamer.train import SGD, Training

NETWORKS = {"mlp": "a perceptron on Fashion-MNIST", "cnn": "a small convolutional network on digits"}
NONE = "adversarial training and the same pruning without constraints, for as many epochs"
ARMS: dict[str, dict[str, Any]] = {
    "none": {"sparse": None, "gates": None, "condition": None},
    "l1": {"sparse": L1(), "gates": None, "condition": None},
    "tsc": {"condition": None},
    "cnc": {"sparse": None, "gates": None},
    "both": {},
}


def _higher(name: str, statement: str, reported: str, baseline: str) -> Claim:
    metric = "test accuracy in points under ten steps of projected gradient ascent, at 95 % sparsity"
    return Claim(id=name, statement=statement, reported=reported, metric=metric, baseline=baseline, direction="higher")


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    condition = "condition number by nonzero singular values, median over layers"
    ablation = "Both constraints are proposed together (abstract); figures not known to us."
    return (
        Claim(
            id=f"{kind}-pruning-spoils-condition",
            statement=f"Without constraints, pruning raises the condition numbers of {network}.",
            reported="Condition numbers rise sharply with pruning (abstract).",
            metric=f"{condition}, at 95 % sparsity",
            baseline="the same before pruning",
            direction="higher",
            comparison="ratio",
        ),
        Claim(
            id=f"{kind}-condition",
            statement=f"With both constraints, the weights of {network} are better conditioned after pruning.",
            reported="That is what the second constraint is for (abstract); figure not known to us.",
            metric=f"{condition}, at 95 % sparsity",
            baseline=NONE,
            direction="lower",
            comparison="ratio",
        ),
        _higher(
            f"{kind}-robust-accuracy",
            f"With both constraints, {network} is more accurate under attack.",
            "Higher robust accuracy at high pruning rates (abstract); figures not known to us.",
            NONE,
        ),
        Claim(
            id=f"{kind}-robust-accuracy-at-90",
            statement=f"The same at 90 % sparsity: with both constraints, {network} is more accurate under attack.",
            reported="Higher robust accuracy at high pruning rates (abstract); figures not known to us.",
            metric="test accuracy in points under ten steps of projected gradient ascent, at 90 % sparsity",
            baseline=NONE,
            direction="higher",
        ),
        Claim(
            id=f"{kind}-slope",
            statement=f"With both constraints, {network} loses less accuracy to an attack of a given radius.",
            reported="The condition number dominates how noise is amplified (abstract); figure not known to us.",
            metric="points of test accuracy lost per hundredth of the pixel range that an attack may move, at 95 %",
            baseline=NONE,
            direction="lower",
        ),
        _higher(
            f"{kind}-beats-l1",
            f"For {network}, the two constraints are better than a plain L1 penalty.",
            ablation,
            "an L1 penalty in their place",
        ),
        _higher(
            f"{kind}-needs-condition",
            f"For {network}, both constraints are better than the sparse one alone.",
            ablation,
            "the transformed sparse penalty with gates, without the condition",
        ),
        _higher(
            f"{kind}-needs-sparsity",
            f"For {network}, both constraints are better than the condition alone.",
            ablation,
            "the condition without the transformed sparse penalty and its gates",
        ),
    )


FULL = Claim(
    id="wide-residual-networks",
    statement="Wide residual networks with both constraints stand up better to AutoAttack at high pruning rates.",
    reported="Higher robust accuracy on CIFAR-10, CIFAR-100, Tiny-ImageNet and ImageNet; figures not known to us.",
    metric="test accuracy in points under AutoAttack",
    baseline=NONE,
    direction="higher",
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(1000, ge=1)  # of training and of test
    radius: float = bounded(0.1, gt=0.0, le=1.0)  # of attacks, as a fraction of the pixel range
    epochs: int = bounded(10, ge=1)  # of training under constraints, and again of pruning


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    mlp: Case = Case(data="fashion-mnist")
    cnn: Case = Case(data="digits", radius=0.05)
    sparsity: float = bounded(0.9, gt=0.0, lt=1.0)
    extreme: float = bounded(0.95, gt=0.0, lt=1.0)
    decay: float = bounded(5e-4, ge=0.0)  # of the weights; the transformed penalty holds one of its own


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of both networks."""
    found: dict[str, Pair | Untestable] = {
        FULL.id: Untestable("needs WRN-28-10 and AutoAttack on CIFAR and ImageNet, and GPUs for days")
    }
    for kind, case, make in (("mlp", setup.mlp, perceptron), ("cnn", setup.cnn, convolutional)):
        try:
            images = image_subset(case.data, case.images, seed=run.seed)
        except Untestable as reason:
            found |= {claim.id: reason for claim in _claims(kind, NETWORKS[kind])}
            continue
        train = Attack(radius=case.radius, steps=5, step=0.3 * case.radius)
        test = Attack(radius=case.radius, steps=10, step=0.2 * case.radius, start="box")
        task = Robust(images, Robustness(train=train, test=test))
        pairs = compared(kind, case, make(task), task, setup=setup, run=run)
        found |= {f"{kind}-{claim}": pair for claim, pair in pairs.items()}
    return found


def compared(kind: str, case: Case, network: nn.Module, task: Task, *, setup: Setup, run: Run) -> dict[str, Pair]:
    """Returns what one network answers to its claims, whose ids stand without its kind."""

    def training(decay: float) -> Training:
        optimizer = SGD(learning_rate=0.1, weight_decay=decay, nesterov=True)
        return Training(epochs=case.epochs, optimizer=optimizer, keep_best=False, validate_every=case.epochs)

    trained: dict[str, Compressed] = {}
    pruned: dict[tuple[str, float], Compressed] = {}
    for arm, options in ARMS.items():
        constrained = method("tscnc", sparsity=0.0, constrain=1.0, **options)
        own_decay = "sparse" not in options
        trained[arm] = run.compress(
            f"{kind}, {arm}", network, task, constrained, training(0.0 if own_decay else setup.decay)
        )
        for sparsity in (setup.sparsity, setup.extreme) if arm in ("none", "both") else (setup.extreme,):
            pruning = method("tscnc", sparsity=sparsity, constrain=0.0, **options)
            pruned[arm, sparsity] = run.compress(
                f"{kind}, {arm} at {sparsity:.0%}", trained[arm].model, task, pruning, training(setup.decay)
            )

    def robust(arm: str, sparsity: float = setup.extreme) -> float:
        return 100.0 * pruned[arm, sparsity].quality["robust_accuracy"]

    def slope(arm: str) -> float:
        quality = pruned[arm, setup.extreme].quality
        return (quality["accuracy"] - quality["robust_accuracy"]) / case.radius

    conditions = {arm: condition(pruned[arm, setup.extreme]) for arm in ("both", "none")}
    return {
        "pruning-spoils-condition": Pair(conditions["none"], condition(trained["none"])),
        "condition": Pair(conditions["both"], conditions["none"]),
        "robust-accuracy": Pair(robust("both"), robust("none")),
        "robust-accuracy-at-90": Pair(robust("both", setup.sparsity), robust("none", setup.sparsity)),
        "slope": Pair(slope("both"), slope("none")),
        "beats-l1": Pair(robust("both"), robust("l1")),
        "needs-condition": Pair(robust("both"), robust("tsc")),
        "needs-sparsity": Pair(robust("both"), robust("cnc")),
    }


def condition(result: Compressed) -> float:
    """Returns the median over layers of the condition number by nonzero singular values."""
    return float(result.report["after"]["median_nonzero_condition"])


def perceptron(task: Task) -> nn.Module:
    """Returns pixels → 256 → 64 → classes."""
    sizes = task.dimensions()
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(sizes["in_channels"] * sizes["image_size"] ** 2, 256),
        nn.ReLU(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, sizes["classes"]),
    )


def convolutional(task: Task) -> nn.Module:
    """Returns three normalised 3×3 convolutions of 16, 32 and 32 channels, the last two of which halve the image."""
    sizes = task.dimensions()
    layers: list[nn.Module] = []
    channels, size = sizes["in_channels"], sizes["image_size"]
    for width, stride in ((16, 1), (32, 2), (32, 2)):
        layers += [
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels, size = width, math.ceil(size / stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size**2, sizes["classes"]))


PAPER = register(
    Paper(
        id="tscnc",
        title="Lipschitz Constant Meets Condition Number: Learning Robust and Compact Deep Neural Networks",
        authors="Feng, Lin, Gao, Wei",
        year=2025,
        arxiv="2503.20454",
        departures=(
            "Small networks, 800 training images and 10 epochs for each of training and pruning, half of those for the "
            "scores; a constant learning rate, batches of 64, and attacks of five steps in training. The condition "
            "is asked of all layers, free of scale, where the authors' code has the last layer alone, by its size. All "
            "arms have the same weight decay; the sparse penalty holds it."
        ),
        claims=(*(claim for kind, network in NETWORKS.items() for claim in _claims(kind, network)), FULL),
        scales={
            "smoke": Setup(
                mlp=Case(data="digits", images=150, epochs=2), cnn=Case(data="digits", images=150, epochs=2)
            ),
            "small": Setup(),
            "full": Untestable("needs WRN-28-10 and VGG-16 on CIFAR for 200 epochs of ten-step attacks, on GPUs"),
        },
        experiment=experiment,
    )
)
