"""What a survey of sparsity says in general: which ways of pruning do better, and than what.

Hoefler, Alistarh, Ben-Nun, Dryden & Peste, "Sparsity in deep learning", JMLR 2021. It reports the literature and has no
experiments of its own; the network here is its usual small one, LeNet-300-100, on Fashion-MNIST. All ways train for as
many epochs from the same weights. The criteria that the survey lists are methods and scores of `gossamer.prune`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from gossamer.compression import Method, method
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.prune.allocation import Global, Uniform
from gossamer.prune.schedules import OneShot
from gossamer.settings import Settings, bounded
from gossamer.train import Adam, Training

POINTS = "test accuracy in points"
LITERATURE = "As the literature it reviews has it; we know no figure for this network."


def _claim(name: str, statement: str, baseline: str, *, reported: str = LITERATURE) -> Claim:
    return Claim(id=name, statement=statement, reported=reported, metric=POINTS, baseline=baseline, direction="higher")


CLAIMS = (
    Claim(
        id="half-is-free",
        statement="A network that loses half of its weights while it trains is no worse than the dense one.",
        reported="Sparse networks generalise as well as dense ones, sometimes better (abstract).",
        metric=POINTS,
        baseline="the dense network after as many epochs",
        direction="no lower",
        tolerance=0.5,
    ),
    _claim(
        "small-weights-go-first",
        "At 95 %, removing the smallest weights is better than removing any.",
        "random weights removed at the same time, retrained for as many epochs",
    ),
    _claim(
        "gradual-beats-one-shot",
        "At 95 %, removing weights little by little is better than all at once.",
        "the smallest weights removed at half time",
    ),
    _claim(
        "after-training-beats-before",
        "At 95 %, choosing weights in the course of training is better than before it.",
        "SNIP, which chooses before training",
    ),
    _claim(
        "saliency-beats-chance-before-training",
        "At 95 %, before training, what the loss feels is a better choice than chance.",
        "random weights, the same sparsity in every layer, for as many epochs",
    ),
    _claim(
        "moving-beats-staying",
        "At 95 %, sparse training that moves its weights is better than with weights that stay where they are.",
        "random weights with densities by Erdős-Rényi, for as many epochs",
    ),
    _claim(
        "large-sparse-beats-small-dense",
        "At 95 %, a sparse network is better than a dense one with as many weights.",
        "a narrower dense network with as many weights, after as many epochs",
    ),
    _claim(
        "compensation-without-retraining",
        "At 80 % and without retraining, second-order pruning that changes the other weights is better than by size.",
        "the smallest weights of the network removed after the last step",
    ),
    Claim(
        id="second-order-no-worse",
        statement="At 95 % with retraining, second-order pruning is no worse than by size.",
        reported=LITERATURE,
        metric=POINTS,
        baseline="the smallest weights of the network removed at half time",
        direction="no lower",
        tolerance=0.5,
    ),
    Claim(
        id="ten-times-smaller",
        statement="At 95 %, a network takes a tenth of the dense one's bytes or less.",
        reported="Sparsity may make networks 10 to 100 times as efficient (the authors' announcement); read as bytes.",
        metric="bytes of the stored network at 95 %",
        baseline="the dense network",
        direction="lower",
        comparison="ratio",
        margin=0.1,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    data: str = "fashion-mnist"
    val: float = bounded(5 / 6, gt=0.0, lt=1.0)  # fraction of the training images that is not trained on
    hidden: tuple[int, ...] = (300, 100)
    epochs: int = bounded(12, ge=1)  # of each method
    sparsity: float = bounded(0.95, gt=0.0, lt=1.0)
    mild: float = bounded(0.5, gt=0.0, lt=1.0)
    unrepaired: float = bounded(0.8, gt=0.0, lt=1.0)  # without retraining
    every: int = bounded(25, ge=1)  # steps between two moves of sparse training


def experiment(setup: Setup, run: Run) -> Outcome:
    """Trains every method from the same weights; the narrow network from its own."""
    task = dataset(setup.data, seed=run.seed, val=setup.val)
    sizes = task.dimensions()
    inputs = sizes["in_channels"] * sizes["image_size"] ** 2
    network = perceptron([inputs, *setup.hidden, sizes["classes"]])
    narrow = perceptron(narrowed([inputs, *setup.hidden, sizes["classes"]], 1.0 - setup.sparsity))
    training = Training(epochs=setup.epochs, optimizer=Adam(learning_rate=1e-3), patience=None, keep_best=False)
    at_end = {"schedule": OneShot(at=1.0), "sparsity": setup.unrepaired, "allocation": Global()}
    tried: dict[str, tuple[nn.Module, Method]] = {
        "dense": (network, method("dense")),
        "narrow": (narrow, method("dense")),
        "mild": (network, method("gradual", sparsity=setup.mild)),
        "gradual": (network, method("gradual", sparsity=setup.sparsity)),
        "magnitude": (network, method("magnitude", sparsity=setup.sparsity)),
        "magnitude, one ranking": (network, method("magnitude", sparsity=setup.sparsity, allocation=Global())),
        "random": (network, method("magnitude", sparsity=setup.sparsity, score="random")),
        "snip": (network, method("snip", sparsity=setup.sparsity)),
        "static": (network, method("static-erk", sparsity=setup.sparsity, allocation=Uniform())),
        "static-erk": (network, method("static-erk", sparsity=setup.sparsity)),
        "rigl": (network, method("rigl", sparsity=setup.sparsity, every=setup.every)),
        "obs": (network, method("obs", sparsity=setup.sparsity)),
        "obs at the end": (network, method("obs", **at_end)),
        "magnitude at the end": (network, method("magnitude", **at_end)),
    }
    found = {name: run.compress(name, model, task, chosen, training) for name, (model, chosen) in tried.items()}

    def points(name: str, other: str) -> Pair:
        return Pair(*(100.0 * found[which].quality["accuracy"] for which in (name, other)))

    return {
        "half-is-free": points("mild", "dense"),
        "small-weights-go-first": points("magnitude", "random"),
        "gradual-beats-one-shot": points("gradual", "magnitude"),
        "after-training-beats-before": points("magnitude", "snip"),
        "saliency-beats-chance-before-training": points("snip", "static"),
        "moving-beats-staying": points("rigl", "static-erk"),
        "large-sparse-beats-small-dense": points("gradual", "narrow"),
        "compensation-without-retraining": points("obs at the end", "magnitude at the end"),
        "second-order-no-worse": points("obs", "magnitude, one ranking"),
        "ten-times-smaller": Pair(float(found["gradual"].cost.bytes), float(found["dense"].cost.bytes)),
    }


def perceptron(widths: list[int]) -> nn.Sequential:
    """Returns a perceptron on images with these widths, ReLU between its layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def narrowed(widths: list[int], density: float) -> list[int]:
    """Returns the widths with the hidden ones scaled alike, for a fraction `density` of the weights or just above it.

    >>> narrowed([784, 300, 100, 10], 0.05)
    [784, 17, 6, 10]
    """

    def weights(sizes: list[int]) -> int:
        return sum(before * after for before, after in pairwise(sizes))

    for scale in range(1, 1001):
        scaled = [widths[0], *(max(1, round(width * scale / 1000)) for width in widths[1:-1]), widths[-1]]
        if weights(scaled) >= density * weights(widths):
            return scaled
    return list(widths)


PAPER = register(
    Paper(
        id="sparsity-survey",
        title="Sparsity in Deep Learning: Pruning and growth for efficient inference and training in neural networks",
        authors="Hoefler, Alistarh, Ben-Nun, Dryden, Peste",
        year=2021,
        venue="JMLR",
        arxiv="2102.00554",
        departures=(
            "The survey has no experiments; its general statements are tried on one network and one data set, 10,000 "
            "images of Fashion-MNIST and 12 epochs with Adam. Its figure for efficiency is read as bytes of a file."
        ),
        claims=CLAIMS,
        scales={
            "smoke": Setup(data="digits", val=0.1, hidden=(32, 16), epochs=2, every=5),
            "small": Setup(),
            "full": Setup(val=0.1, epochs=60, every=100),
        },
        experiment=experiment,
    )
)
