"""Metanetworks that rewrite a network so that it can be pruned, against the same pruning without them.

Liu, Wang & Zhang, "Meta pruning via graph metanetworks: a (universal) meta learning framework for network pruning",
2025. Its networks are ResNets and VGG on CIFAR and ImageNet; here three small ones go through the same steps: a
metanetwork learns from a few trained networks, and is then used on one that it has not seen.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from torch import nn

from gossamer.compression import Method
from gossamer.models import for_task
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset, points
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.meta_pruning import MetaPruning
from gossamer.prune.meta_training import MetaTraining, TrainedNetwork, train_metanetwork
from gossamer.prune.metanetwork import Metanetwork, MetanetworkShape
from gossamer.prune.schedules import OneShot
from gossamer.settings import Settings, bounded
from gossamer.structure import AllTogether, GroupRandom, network_graph, plan
from gossamer.tasks import ImageClassification, Task
from gossamer.train import Adam, Optimizer, Training, fit

NETWORKS = {
    "mlp": "a perceptron on Fashion-MNIST",
    "cnn": "a convolutional network with batch normalisation on CIFAR-10",
    "gcn": "a GCN on Cora",
}
TOGETHER = AllTogether(relative_to="max")
REPORTED = "State of the art on ResNet-56, VGG-19 and ResNet-50 (abstract); no figure for this network."
RIGHT_AFTER = "test accuracy in points right after the removal, mean of 30 % and 50 % of the channels"
RETRAINED = "test accuracy in points after fine-tuning, 60 % of the channels removed"


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    return (
        Claim(
            id=f"{kind}-prunable",
            statement=f"Rewritten by a metanetwork, {network} loses less where channels go.",
            reported="This is what metanetworks are trained for; no figure was at hand.",
            metric=RIGHT_AFTER,
            baseline="the same network and pruning after as many epochs of fine-tuning, without a metanetwork",
            direction="higher",
        ),
        Claim(
            id=f"{kind}-accuracy",
            statement=f"With a metanetwork, {network} is more accurate after pruning and fine-tuning.",
            reported=REPORTED,
            metric=RETRAINED,
            baseline="the same network, pruned by group magnitude after as many epochs and fine-tuned for as many",
            direction="higher",
        ),
        Claim(
            id=f"{kind}-random",
            statement=f"With a metanetwork, {network} is more accurate than after random pruning.",
            reported=REPORTED,
            metric=RETRAINED,
            baseline="the same network, pruned at random after as many epochs and fine-tuned for as many",
            direction="higher",
        ),
        Claim(
            id=f"{kind}-scratch",
            statement=f"With a metanetwork, {network} is more accurate than a small one that is trained from scratch.",
            reported=REPORTED,
            metric=RETRAINED,
            baseline="a network of 40 % of the channels in each layer, trained for as many epochs in all",
            direction="higher",
        ),
    )


TRANSFER = Claim(
    id="cnn-transfer",
    statement="A metanetwork that has learned from perceptrons on Fashion-MNIST serves a CNN on CIFAR-10.",
    reported="A metanetwork is trained once and used on networks that it has not seen; no figure was at hand.",
    metric=RIGHT_AFTER,
    baseline="the same network and pruning after as many epochs of fine-tuning, without a metanetwork",
    direction="higher",
)
IMAGENET = Claim(
    id="imagenet",
    statement="A ResNet-50 pruned with a metanetwork is more accurate on ImageNet than one pruned by DepGraph.",
    reported="State of the art on ResNet-50 and ImageNet (abstract).",
    metric="top-1 accuracy in points",
    baseline="DepGraph at the same speed-up",
    direction="higher",
)


@dataclass(frozen=True, kw_only=True)
class Data(Settings):
    """One kind of network on one data set."""

    data: str
    images: int = bounded(1000, ge=1)  # of training and of test, where the data are images
    epochs: int = bounded(15, ge=1)  # of training
    before: int = bounded(3, ge=1)  # of fine-tuning between the metanetwork and the removal
    after: int = bounded(5, ge=0)  # of fine-tuning after it
    optimizer: Optimizer = field(default_factory=lambda: Adam(learning_rate=3e-3))


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    mlp: Data = Data(data="fashion-mnist")
    cnn: Data = Data(data="cifar10")
    gcn: Data = Data(data="cora", epochs=60, before=10, after=20, optimizer=Adam(learning_rate=0.01))
    networks: int = bounded(3, ge=1)  # that the metanetwork learns from
    shape: MetanetworkShape = field(default_factory=lambda: MetanetworkShape(change=0.05))
    pressures: tuple[float, ...] = bounded((0.3, 3.0), ge=0.0)
    rounds: tuple[int, ...] = bounded((10, 20), ge=1)  # epochs of meta-training; of all these, validation chooses


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of all networks."""
    found: dict[str, Pair | Untestable] = {IMAGENET.id: Untestable("needs ResNet-50, ImageNet, and GPUs for weeks")}
    known: Path | None = None  # the perceptrons' metanetwork
    for kind, data, make in (
        ("mlp", setup.mlp, perceptron),
        ("cnn", setup.cnn, convolutional),
        ("gcn", setup.gcn, gcn),
    ):
        claims = [*_claims(kind, NETWORKS[kind]), *([TRANSFER] if kind == "cnn" else [])]
        try:
            task = (
                dataset(data.data, seed=run.seed)
                if kind == "gcn"
                else image_subset(data.data, data.images, seed=run.seed)
            )
        except Untestable as reason:
            found |= {claim.id: reason for claim in claims}
            continue
        networks = [make(task) for _ in range(setup.networks + 1)]
        path = run.folder / f"{kind}.metanetwork"
        found |= compared(kind, data, networks, task, setup=setup, run=run, path=path, other=known)
        known = known or path
        if kind == "cnn" and TRANSFER.id not in found:
            found[TRANSFER.id] = Untestable("needs the data set of the perceptrons, which is not here")
    return found


def compared(
    kind: str,
    data: Data,
    networks: list[nn.Module],
    task: Task,
    *,
    setup: Setup,
    run: Run,
    path: Path,
    other: Path | None,
) -> dict[str, Pair | Untestable]:
    """Returns what one kind of network answers; the last network is the one that the metanetwork does not see."""
    training = Training(epochs=data.epochs, optimizer=data.optimizer, keep_best=False)
    for place, network in enumerate(networks):
        run.say(f"{kind}, training {place + 1} of {len(networks)}")
        if place + 1 == len(networks):
            fresh = copy.deepcopy(network)
        fit(network, task, training, seed=run.seed, progress=False)
    *seen, unseen = networks
    run.say(f"{kind}, metanetwork")
    chosen([TrainedNetwork(network, task) for network in seen], setup, seed=run.seed).save(path)

    def pruned(label: str, method: Method, epochs: int, network: nn.Module = unseen) -> float:
        return points(run.compress(f"{kind}, {label}", network, task, method, training.replace(epochs=epochs)))

    def rewritten(pruning: ChannelPruning, metanetwork: Path) -> Method:
        return MetaPruning(sparsity=pruning.sparsity, metanetwork=metanetwork, pretrain=0.0, pruning=pruning)

    at_once = [
        ChannelPruning(sparsity=sparsity, schedule=OneShot(at=1.0), allocation=TOGETHER) for sparsity in (0.3, 0.5)
    ]
    plain = fmean(pruned(f"{one.sparsity:.0%}", one, data.before) for one in at_once)
    meta = fmean(pruned(f"{one.sparsity:.0%}, meta", rewritten(one, path), data.before) for one in at_once)
    found: dict[str, Pair | Untestable] = {f"{kind}-prunable": Pair(meta, plain)}
    if kind == "cnn" and other is not None:
        moved = fmean(pruned(f"{one.sparsity:.0%}, transfer", rewritten(one, other), data.before) for one in at_once)
        found[TRANSFER.id] = Pair(moved, plain)

    epochs = data.before + data.after
    later = ChannelPruning(sparsity=0.6, schedule=OneShot(at=data.before / epochs), allocation=TOGETHER)
    small = ChannelPruning(sparsity=0.6, schedule=OneShot(at=0.0), score=GroupRandom())
    best = pruned("retrained, meta", rewritten(later, path), epochs)
    found[f"{kind}-accuracy"] = Pair(best, pruned("retrained", later, epochs))
    found[f"{kind}-random"] = Pair(best, pruned("random", later.replace(score=GroupRandom()), epochs))
    found[f"{kind}-scratch"] = Pair(best, pruned("from scratch", small, data.epochs + epochs, fresh))
    return found


def chosen(cases: list[TrainedNetwork], setup: Setup, *, seed: int) -> Metanetwork:
    """Returns the metanetwork after which pruned networks that it has learned from do best on validation."""
    best: tuple[float, Metanetwork | None] = (-1.0, None)

    def watch(epoch: int, _: float, meta: Metanetwork) -> None:
        nonlocal best
        if epoch + 1 in setup.rounds:
            quality = fmean(after_removal(meta, case) for case in cases)
            best = max(best, (quality, copy.deepcopy(meta)), key=lambda item: item[0])

    for pressure in setup.pressures:
        learning = MetaTraining(epochs=max(setup.rounds), slower_from=max(setup.rounds), pressure=pressure)
        train_metanetwork(cases, setup.shape, learning, seed=seed, watch=watch)
    assert best[1] is not None
    return best[1]


@torch.no_grad()
def after_removal(meta: Metanetwork, case: TrainedNetwork) -> float:
    """Returns the accuracy on validation of a network that was rewritten and has lost half of its channels."""
    example = case.task.example()
    network = copy.deepcopy(case.model)
    parameters = dict(network.named_parameters())
    for name, value in meta.rewrite(network_graph(network, example), network).items():
        parameters[name].copy_(value)
    small = plan(network, example, ratio=0.5, allocation=TOGETHER).apply(network)
    return case.task.evaluate(small, "val")["accuracy"]


def perceptron(task: Task) -> nn.Module:
    """Returns means of 4×4 pixels → 48 → 32 → classes."""
    assert isinstance(task, ImageClassification)
    pooled = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    inputs = pooled(task.example()[0]).shape[1]
    return nn.Sequential(
        *pooled, nn.Linear(inputs, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, task.classes)
    )


def convolutional(task: Task) -> nn.Module:
    """Returns means of 2×2 pixels, three 3×3 convolutions of 8, 16 and 16 channels, and a linear layer."""
    assert isinstance(task, ImageClassification)
    widths = [task.dimensions()["in_channels"], 8, 16, 16]
    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for place, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += [
            nn.Conv2d(before, after, 3, stride=1 if place == 0 else 2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, task.classes))


def gcn(task: Task) -> nn.Module:
    """Returns a GCN with 16 channels."""
    return for_task("gcn", task, hidden=16)


PAPER = register(
    Paper(
        id="meta-pruning",
        title="Meta Pruning via Graph Metanetworks: A (Universal) Meta Learning Framework for Network Pruning",
        authors="Liu, Wang, Zhang",
        year=2025,
        arxiv="2506.12041",
        departures=(
            "Small networks, and metanetworks of 3 layers of 16 that learn from three networks for 10 or 20 epochs; "
            "the paper's have 8 layers of 32 or 64 and learn for up to 100. Networks that are learned from are not "
            "pruned before. Pressure and epochs are chosen on the validation split of the networks that are learned "
            "from, where the paper looks at plots. Channels go at once instead of in 200 steps."
        ),
        claims=(*(claim for kind, network in NETWORKS.items() for claim in _claims(kind, network)), TRANSFER, IMAGENET),
        scales={
            "smoke": Setup(
                mlp=Data(data="digits", images=200, epochs=2, before=1, after=1),
                cnn=Data(data="digits", images=200, epochs=2, before=1, after=1),
                gcn=Data(data="digits-graph", epochs=2, before=1, after=1, optimizer=Adam(learning_rate=0.01)),
                networks=1,
                pressures=(0.3,),
                rounds=(1,),
            ),
            "small": Setup(),
            "full": Untestable("needs ResNet-56 on CIFAR-10, VGG-19 on CIFAR-100, and a GPU for days"),
        },
        experiment=experiment,
    )
)
