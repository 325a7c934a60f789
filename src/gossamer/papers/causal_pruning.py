"""Pruning without data: does what a channel says about a disturbance of its layer's input tell what it is worth?

Ferianc, Sankaran, Mastropietro, Saboori & Cappart, "On causal inference for data-free structured pruning", AAAI-22
workshop ITCI. We know its abstract alone, so the estimators are ours (`structure.causal`). Here convolutional networks
of three widths and a GraphSAGE network lose channels by mutual information, by the norm of their weights, by how strong
they are on data, or at random, and are tested right after that and after a little fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean

from torch import nn

from gossamer.compression import method
from gossamer.models import for_task
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset, points
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.schedules import OneShot
from gossamer.settings import Settings, bounded
from gossamer.structure import (
    CausalInformation,
    Correlations,
    GroupMagnitude,
    GroupRandom,
    GroupScore,
    MeanActivation,
    plan,
)
from gossamer.tasks import Task
from gossamer.train import SGD, Adam, Optimizer, Training

NETWORKS = {"cnn": "a convolutional network on Fashion-MNIST", "sage": "a GraphSAGE network on Cora"}
SCORES: dict[str, GroupScore] = {
    "causal": CausalInformation(samples=4096),
    "correlations": CausalInformation(estimator=Correlations(), samples=4096),
    "magnitude": GroupMagnitude(power=1.0),
    "activation": MeanActivation(),
    "random": GroupRandom(),
}
RIGHT_AFTER = "test accuracy in points right after removal, mean over all ratios and widths"
TUNED = "test accuracy in points after fine-tuning, mean over all ratios"
REPORTED = "Competitive with other criteria under challenging conditions (abstract); figures not known to us."


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    def better(name: str, statement: str, metric: str, baseline: str) -> Claim:
        return Claim(
            id=f"{kind}-{name}",
            statement=statement,
            reported=REPORTED,
            metric=metric,
            baseline=baseline,
            direction="higher",
        )

    same = "removed from the same trained network, as many of each layer"
    return (
        better(
            "beats-random",
            f"Without training, information tells better than chance which channels of {network} to remove.",
            RIGHT_AFTER,
            f"random channels {same}",
        ),
        better(
            "beats-magnitude",
            f"Without training, information tells better than weights which channels of {network} to remove.",
            RIGHT_AFTER,
            f"the channels with the least sum of |weights| {same}",
        ),
        better(
            "correlations-beat-magnitude",
            f"Estimated by correlations, too, it tells better than the norm of weights for {network}.",
            RIGHT_AFTER,
            f"the channels with the least sum of |weights| {same}",
        ),
        Claim(
            id=f"{kind}-needs-no-data",
            statement=f"After fine-tuning, {network} is as accurate as where data chose the channels.",
            reported=REPORTED,
            metric=TUNED,
            baseline=f"the channels with the least mean activation on training data {same}, fine-tuned as long",
            direction="no lower",
            tolerance=1.0,
        ),
        better(
            "beats-random-tuned",
            f"After fine-tuning, {network} is more accurate than without random channels.",
            TUNED,
            f"random channels {same}, fine-tuned as long",
        ),
        better(
            "beats-scratch",
            f"Pruned, {network} is more accurate than one of its size trained from the beginning.",
            TUNED,
            "a network of the same widths, trained from the beginning for as many epochs altogether",
        ),
    )


FULL = Claim(
    id="all-networks",
    statement="On both data sets and all sizes of networks of the authors, it is competitive with other criteria.",
    reported=REPORTED,
    metric="test accuracy in points",
    baseline="other structured criteria",
    direction="no lower",
    tolerance=1.0,
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(1200, ge=1)  # of training and of test, where the data are images
    pretrain: int = bounded(8, ge=1)  # epochs of the network from which all begin
    epochs: int = bounded(2, ge=1)  # of fine-tuning
    widths: tuple[float, ...] = bounded((0.5, 1.0, 2.0), gt=0.0)  # of layers, of those of the plain network
    optimizer: Optimizer = field(default_factory=lambda: SGD(learning_rate=0.05))


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    cnn: Case = Case(data="fashion-mnist")
    sage: Case = Case(data="cora", pretrain=40, epochs=5, widths=(1.0,), optimizer=Adam(learning_rate=0.01))
    ratios: tuple[float, ...] = bounded((0.2, 0.4, 0.6), gt=0.0, lt=1.0)


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of both networks."""
    found: dict[str, Pair | Untestable] = {FULL.id: Untestable("needs the paper's text: which networks and data sets")}
    for kind, case in (("cnn", setup.cnn), ("sage", setup.sage)):
        try:
            task = (
                image_subset(case.data, case.images, seed=run.seed)
                if kind == "cnn"
                else dataset(case.data, seed=run.seed)
            )
        except Untestable as reason:
            found |= {claim.id: reason for claim in _claims(kind, NETWORKS[kind])}
            continue
        pairs = compared(kind, case, task, ratios=setup.ratios, run=run)
        found |= {f"{kind}-{claim}": pair for claim, pair in pairs.items()}
    return found


def network(kind: str, task: Task, width: float) -> nn.Module:
    """Returns three normalised 3×3 convolutions of 16, 32 and 64 channels, or a GraphSAGE of three layers of 64."""
    if kind == "sage":
        return for_task("sage", task, hidden=round(64 * width), layers=3)
    sizes = task.dimensions()
    layers: list[nn.Module] = []
    channels = sizes["in_channels"]
    for plain in (16, 32, 64):
        wide = round(plain * width)
        layers += [
            nn.Conv2d(channels, wide, 3, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, sizes["classes"]))


def compared(kind: str, case: Case, task: Task, *, ratios: tuple[float, ...], run: Run) -> dict[str, Pair]:
    """Returns what one network answers to its claims, whose ids stand without its kind."""
    training = Training(epochs=case.epochs, optimizer=case.optimizer, patience=None, keep_best=False)
    first = {width: network(kind, task, width) for width in case.widths}
    dense = {
        width: run.compress(
            f"{kind}, dense of width {width:g}", net, task, method("dense"), training.replace(epochs=case.pretrain)
        ).model
        for width, net in first.items()
    }
    untuned = {
        name: [right_after(model, task, score, ratio, seed=run.seed) for model in dense.values() for ratio in ratios]
        for name, score in SCORES.items()
    }
    middle = case.widths[len(case.widths) // 2]

    def tuned(name: str, ratio: float, start: nn.Module, epochs: int, label: str) -> float:
        removed = ChannelPruning(sparsity=ratio, score=SCORES[name], schedule=OneShot(at=0.0))
        made = run.compress(f"{kind}, {label} at {ratio:.0%}", start, task, removed, training.replace(epochs=epochs))
        return points(made)

    after = {
        name: fmean(tuned(name, ratio, dense[middle], case.epochs, name) for ratio in ratios)
        for name in ("causal", "activation", "random")
    }
    together = case.pretrain + case.epochs
    scratch = fmean(tuned("random", ratio, first[middle], together, "scratch") for ratio in ratios)
    means = {name: fmean(values) for name, values in untuned.items()}
    return {
        "beats-random": Pair(means["causal"], means["random"]),
        "beats-magnitude": Pair(means["causal"], means["magnitude"]),
        "correlations-beat-magnitude": Pair(means["correlations"], means["magnitude"]),
        "needs-no-data": Pair(after["causal"], after["activation"]),
        "beats-random-tuned": Pair(after["causal"], after["random"]),
        "beats-scratch": Pair(after["causal"], scratch),
    }


def right_after(model: nn.Module, task: Task, score: GroupScore, ratio: float, *, seed: int) -> float:
    """Returns the test accuracy in points of a network that lost channels and was not trained since."""
    found = plan(
        model,
        task.example(),
        ratio=ratio,
        score=score,
        losses=lambda net: [task.loss(net, batch) for batch in islice(task.batches("train"), 8)],
        seed=seed,
    )
    return 100.0 * task.evaluate(found.apply(model), "test")["accuracy"]


PAPER = register(
    Paper(
        id="causal-pruning",
        title="On Causal Inference for Data-free Structured Pruning",
        authors="Ferianc, Sankaran, Mastropietro, Saboori, Cappart",
        year=2021,
        venue="AAAI-22 workshop ITCI",
        arxiv="2112.10229",
        departures=(
            "The estimators, the sequential removal and the networks are ours, as only the abstract is known to us: "
            "sums of mutual information over input channels, by histograms and by correlations, from 256 disturbed "
            "images or as many nodes, 4096 places a layer. 960 images of Fashion-MNIST, two epochs of fine-tuning; "
            "Cora is added."
        ),
        claims=(*(claim for kind, name in NETWORKS.items() for claim in _claims(kind, name)), FULL),
        scales={
            "smoke": Setup(
                cnn=Case(data="digits", images=150, pretrain=1, epochs=1, widths=(0.5,)),
                sage=Case(
                    data="digits-graph", pretrain=2, epochs=1, widths=(0.25,), optimizer=Adam(learning_rate=0.01)
                ),
                ratios=(0.5,),
            ),
            "small": Setup(),
            "full": Untestable("needs the paper's text: which networks and data sets"),
        },
        experiment=experiment,
    )
)
