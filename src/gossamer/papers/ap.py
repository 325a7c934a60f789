"""Activating while pruning: does removing negative weights that moved little wake neurons, and does that help?

Liu, Ghosh, Tan & Motani, "AP: selective activation for de-sparsifying pruned networks", TMLR 2023 (arXiv 2212.06145).
The base is global magnitude pruning in rounds of 20 % with rewinding, of which 2 % go to AP; the controls give the same
2 % to other weights. All four train from the same weights for as many epochs, to the same sparsity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import nn

from gossamer.compression import Compressed, method
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset, points
from gossamer.prune.activating import Activating
from gossamer.prune.schedules import Iterative
from gossamer.settings import Settings, bounded
from gossamer.tasks import Task
from gossamer.train import SGD, Training
from gossamer.train.schedules import MultiStep, Restarts

BASE = "the same pruning without AP, to the same sparsity in as many epochs"
NETWORKS = {
    "mlp": "a perceptron on Fashion-MNIST at 89 % sparsity",
    "cnn": "a convolutional network with batch normalisation on CIFAR-10 at 94 % sparsity",
}
ARMS = {
    "base": Activating(rate=0.0),
    "ap": Activating(),
    "random": Activating(order="random"),
    "positive": Activating(sign="positive"),
}


def _accuracy(name: str, statement: str, reported: str, baseline: str, margin: float | None = None) -> Claim:
    metric = "test accuracy in points"
    return Claim(
        id=name,
        statement=statement,
        reported=reported,
        metric=metric,
        baseline=baseline,
        direction="higher",
        margin=margin,
    )


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    return (
        Claim(
            id=f"{kind}-dead-neurons-fall",
            statement=f"Pruning without AP lowers the dynamic dead-neuron rate of {network}.",
            reported="The dynamic rate falls as the pruning rate grows (abstract).",
            metric="dynamic dead-neuron rate in percent of the neurons, after the last round",
            baseline="the same network before any pruning",
            direction="lower",
        ),
        Claim(
            id=f"{kind}-fewer-dead",
            statement=f"With AP, fewer neurons of {network} are dead.",
            reported="AP is there to lower the dynamic rate (abstract); figure not known to us.",
            metric="dynamic dead-neuron rate in percent of the neurons, mean of the rounds at 80 % sparsity or more",
            baseline=BASE,
            direction="lower",
        ),
        _accuracy(
            f"{kind}-accuracy",
            f"With AP, {network} is more accurate.",
            "3 to 4 points over existing pruning methods on CIFAR-10 and CIFAR-100 (abstract).",
            BASE,
            margin=3.0,
        ),
        _accuracy(
            f"{kind}-random-control",
            f"For {network}, negative weights that moved little are a better choice than any negative weights.",
            "The reason why weights are ranked by their movement; figure not known to us.",
            "random negative weights in their place",
        ),
        _accuracy(
            f"{kind}-positive-control",
            f"For {network}, negative weights that moved little are a better choice than positive ones.",
            "The reason why negative weights are taken; figure not known to us.",
            "positive weights that moved little in their place",
        ),
    )


IMAGENET = _accuracy(
    "imagenet-accuracy",
    "With AP, networks on ImageNet, vision transformers among them, are more accurate.",
    "2 to 3 points (abstract).",
    BASE,
    margin=2.0,
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(3000, ge=1)  # of training and of test
    rounds: int = bounded(10, ge=1)  # each removes a fifth of what is left
    epochs: int = bounded(4, ge=1)  # of each round's training
    learning_rate: float = bounded(0.05, gt=0.0)


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    mlp: Case = Case(data="fashion-mnist")
    cnn: Case = Case(data="cifar10", rounds=13)
    dense_enough: float = bounded(0.8, ge=0.0, lt=1.0)  # sparsity from which dead neurons are compared


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of both networks."""
    found: dict[str, Pair | Untestable] = {
        IMAGENET.id: Untestable("needs ImageNet, networks trained on it, and a GPU for weeks")
    }
    for kind, case, make in (("mlp", setup.mlp, perceptron), ("cnn", setup.cnn, convolutional)):
        try:
            task = image_subset(case.data, case.images, seed=run.seed)
        except Untestable as reason:
            found |= {claim.id: reason for claim in _claims(kind, NETWORKS[kind])}
            continue
        pairs = compared(kind, case, make(task), task, above=setup.dense_enough, run=run)
        found |= {f"{kind}-{claim}": pair for claim, pair in pairs.items()}
    return found


def compared(kind: str, case: Case, network: nn.Module, task: Task, *, above: float, run: Run) -> dict[str, Pair]:
    """Returns what one network answers to the five claims, whose ids stand without its kind."""
    training = Training(
        epochs=case.epochs * (case.rounds + 1),
        optimizer=SGD(learning_rate=case.learning_rate),
        schedule=Restarts(parts=case.rounds + 1, each=MultiStep(at=(0.5, 0.64))),
        keep_best=False,
        validate_every=case.epochs,
    )
    sparsity = 1.0 - 0.8**case.rounds
    made: dict[str, Compressed] = {}
    for arm, activation in ARMS.items():
        chosen = method("ap", sparsity=sparsity, schedule=Iterative(rounds=case.rounds), activation=activation)
        made[arm] = run.compress(f"{kind}, {arm}", network, task, chosen, training)

    rounds = made["base"].report["dead_neurons"]
    return {
        "dead-neurons-fall": Pair(100.0 * rounds[-1]["dynamic"], 100.0 * rounds[0]["dynamic"]),
        "fewer-dead": Pair(dynamic(made["ap"], above), dynamic(made["base"], above)),
        "accuracy": Pair(points(made["ap"]), points(made["base"])),
        "random-control": Pair(points(made["ap"]), points(made["random"])),
        "positive-control": Pair(points(made["ap"]), points(made["positive"])),
    }


def dynamic(result: Compressed, above: float) -> float:
    """Returns the dynamic dead-neuron rate in percent, mean of the rounds whose sparsity is `above` or more."""
    rounds: Sequence[dict[str, float]] = result.report["dead_neurons"]
    return 100.0 * fmean(
        rates["dynamic"] for rates in rounds if rates["sparsity"] >= min(above, rounds[-1]["sparsity"])
    )


def perceptron(task: Task) -> nn.Module:
    """Returns LeNet-300-100, without normalisation."""
    sizes = task.dimensions()
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(sizes["in_channels"] * sizes["image_size"] ** 2, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, sizes["classes"]),
    )


def convolutional(task: Task) -> nn.Module:
    """Returns three 3×3 convolutions of 16, 32 and 64 channels that halve the image, each normalised; then a mean."""
    sizes = task.dimensions()
    layers: list[nn.Module] = []
    channels = sizes["in_channels"]
    for width in (16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, sizes["classes"]))


PAPER = register(
    Paper(
        id="ap",
        title="AP: Selective Activation for De-sparsifying Pruned (Neural) Networks",
        authors="Liu, Ghosh, Tan, Motani",
        year=2023,
        venue="TMLR",
        arxiv="2212.06145",
        departures=(
            "Small networks, few training images without augmentation, and 4 epochs a round where the paper has 50 "
            "on all of CIFAR; the learning rate falls by ten at the same fractions of each round, without warm-up. "
            "Only weights of layers are pruned, where the authors' script ranks those of batch normalisation with them."
        ),
        claims=(*(claim for kind, network in NETWORKS.items() for claim in _claims(kind, network)), IMAGENET),
        scales={
            "smoke": Setup(
                mlp=Case(data="digits", images=300, rounds=2, epochs=1),
                cnn=Case(data="digits", images=300, rounds=2, epochs=1),
            ),
            "small": Setup(),
            "full": Untestable(
                "needs ResNet-20 and VGG-19 on CIFAR-10 and CIFAR-100 for 25 rounds of 50 epochs, on a GPU"
            ),
        },
        experiment=experiment,
    )
)
