"""Channel independence: are the channels that the others nearly span the ones to remove?

Sui, Yin, Xie, Phan, Zonouz & Yuan, "CHIP: Channel independence-based pruning for compact neural networks", NeurIPS
2021. Here the channels inside the blocks of a small residual network, and the hidden units of a GraphSAGE network, go
by independence, by the norm of their weights, by how strong they are alone, or at random; all from the same trained
network, and trained as long afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor, nn

from gossamer.compression import method
from gossamer.models import for_task
from gossamer.models.vision import ResNet
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset, points
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.schedules import OneShot
from gossamer.settings import Settings, bounded
from gossamer.structure import (
    ChannelIndependence,
    Group,
    GroupMagnitude,
    GroupRandom,
    GroupScore,
    MeanActivation,
    Observer,
    SameRatio,
    groups,
    plan,
    trace,
)
from gossamer.tasks import Task
from gossamer.train import SGD, Adam, Optimizer, Training

NETWORKS = {"resnet": "a small residual network on CIFAR-10", "sage": "a GraphSAGE network on Cora"}
SCORES: dict[str, GroupScore] = {
    "chip": ChannelIndependence(),
    "magnitude": GroupMagnitude(),
    "activation": MeanActivation(),
    "random": GroupRandom(),
}
ACCURACY = "test accuracy in points after fine-tuning, mean of 40 % and 60 % of the channels removed"
SAME = "from the same trained network, at the same widths, fine-tuned for as many epochs"


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    def better(name: str, statement: str, reported: str, baseline: str, metric: str = ACCURACY) -> Claim:
        return Claim(
            id=f"{kind}-{name}",
            statement=statement,
            reported=reported,
            metric=metric,
            baseline=baseline,
            direction="higher",
        )

    return (
        better(
            "beats-magnitude",
            f"Without its least independent channels, {network} is more accurate than without its smallest.",
            "Better than earlier filter pruning at equal size for ResNet-56, ResNet-110 and VGG-16 on CIFAR-10.",
            f"the channels with the least norm of weights removed, {SAME}",
        ),
        better(
            "beats-activation",
            f"For {network}, independence from other channels says more than a channel alone does.",
            "That a criterion between channels is better than one of single channels is the thesis; no figure.",
            f"the channels with the least mean activation removed, {SAME}",
        ),
        better(
            "beats-random",
            f"Without its least independent channels, {network} is more accurate than without random ones.",
            "Implied by the comparison with criteria of single channels; no figure.",
            f"random channels removed, {SAME}",
        ),
        better(
            "beats-scratch",
            f"Pruned, {network} is more accurate than one of its size trained from the beginning.",
            "Implied: pruning starts from a trained network; no figure.",
            "a network of the same widths, trained from the beginning for as many epochs altogether",
        ),
        better(
            "beats-whole",
            f"Without two fifths of its channels, {network} is more accurate than the whole one.",
            "94.16 % against 93.26 % for ResNet-56 on CIFAR-10 without 42.8 % of its parameters (authors' tables).",
            "the whole network, trained on for as many epochs",
            "test accuracy in points after fine-tuning, 40 % of the channels removed",
        ),
        Claim(
            id=f"{kind}-spans",
            statement=f"The channels of {network} that stay span more of the maps than the largest ones do.",
            reported="That dependent channels can be made up for by the others is the idea; no figure.",
            metric="norm of what kept maps do not span over that of all, mean over layers, 60 % of channels removed",
            baseline="the same where the channels with the least norm of weights are removed",
            direction="lower",
            comparison="ratio",
        ),
    )


FULL = Claim(
    id="imagenet",
    statement="ResNet-50 without 40.8 % of its parameters is no less accurate than the whole one.",
    reported="76.41 % against 76.15 % on ImageNet (authors' tables).",
    metric="top-1 accuracy in points",
    baseline="the whole ResNet-50",
    direction="no lower",
    tolerance=0.1,
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(1200, ge=1)  # of training and of test, where the data are images
    pretrain: int = bounded(10, ge=1)  # epochs of the network from which all begin
    epochs: int = bounded(4, ge=1)  # of fine-tuning
    optimizer: Optimizer = field(default_factory=lambda: SGD(learning_rate=0.05))
    keep: tuple[str, ...] = ()  # whose channels all stay


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    resnet: Case = Case(data="cifar10", keep=("*.norm", "*.norm2"))
    sage: Case = Case(data="cora", pretrain=40, epochs=20, optimizer=Adam(learning_rate=0.01))
    ratios: tuple[float, ...] = bounded((0.4, 0.6), gt=0.0, lt=1.0)


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of both networks."""
    found: dict[str, Pair | Untestable] = {FULL.id: Untestable("needs ImageNet and a GPU for days")}
    for kind, case in (("resnet", setup.resnet), ("sage", setup.sage)):
        try:
            task = (
                image_subset(case.data, case.images, seed=run.seed)
                if kind == "resnet"
                else dataset(case.data, seed=run.seed)
            )
        except Untestable as reason:
            found |= {claim.id: reason for claim in _claims(kind, NETWORKS[kind])}
            continue
        pairs = compared(kind, case, network(kind, task), task, ratios=setup.ratios, run=run)
        found |= {f"{kind}-{claim}": pair for claim, pair in pairs.items()}
    return found


def network(kind: str, task: Task) -> nn.Module:
    """Returns a residual network of 14 layers that sees images at a quarter of their size, or a GraphSAGE of three."""
    if kind == "sage":
        return for_task("sage", task, hidden=64, layers=3)
    sizes = task.dimensions()
    return nn.Sequential(nn.AvgPool2d(4), ResNet(sizes["in_channels"], sizes["classes"], depth=14))


def compared(
    kind: str, case: Case, first: nn.Module, task: Task, *, ratios: tuple[float, ...], run: Run
) -> dict[str, Pair]:
    """Returns what one network answers to its claims, whose ids stand without its kind."""
    training = Training(epochs=case.epochs, optimizer=case.optimizer, patience=None, keep_best=False)
    whole = training.replace(epochs=case.pretrain)
    dense = run.compress(f"{kind}, dense", first, task, method("dense"), whole)

    def removed(name: str, ratio: float) -> ChannelPruning:
        return ChannelPruning(sparsity=ratio, score=SCORES[name], schedule=OneShot(at=0.0), keep=case.keep, batches=5)

    def tuned(name: str, ratio: float) -> float:
        return points(run.compress(f"{kind}, {name} at {ratio:.0%}", dense.model, task, removed(name, ratio), training))

    accuracy = {name: [tuned(name, ratio) for ratio in ratios] for name in SCORES}
    together = training.replace(epochs=case.pretrain + case.epochs)
    scratch = [
        points(run.compress(f"{kind}, scratch at {ratio:.0%}", first, task, removed("random", ratio), together))
        for ratio in ratios
    ]
    longer = points(run.compress(f"{kind}, longer", dense.model, task, method("dense"), training))
    best = fmean(accuracy["chip"])
    unspanned = {
        name: outside_span(dense.model, task, SCORES[name], case.keep, ratios[-1]) for name in ("chip", "magnitude")
    }
    return {
        "beats-magnitude": Pair(best, fmean(accuracy["magnitude"])),
        "beats-activation": Pair(best, fmean(accuracy["activation"])),
        "beats-random": Pair(best, fmean(accuracy["random"])),
        "beats-scratch": Pair(best, fmean(scratch)),
        "beats-whole": Pair(accuracy["chip"][0], longer),
        "spans": Pair(unspanned["chip"], unspanned["magnitude"]),
    }


def outside_span(model: nn.Module, task: Task, score: GroupScore, keep: tuple[str, ...], ratio: float) -> float:
    """Returns the norm of what the kept maps do not span over that of all maps, mean over layers and five batches."""

    def losses(model: nn.Module) -> list[Tensor]:
        return [task.loss(model, batch) for batch, _ in zip(task.batches("train"), range(5), strict=False)]

    example = task.example()
    found = plan(model, example, ratio=ratio, score=score, keep=keep, losses=losses)
    kept = {group.name: group.keep_mask() for group in found.groups}
    seen = trace(model, example)
    observer = Observer(
        seen, model, example, {}, losses=losses, keep=lambda scores: SameRatio().keep(scores, ratio, 1), seed=0
    )
    shares: dict[str, list[float]] = {}

    def visit(group: Group, maps: Tensor) -> None:
        a = maps.double()
        basis = torch.linalg.qr(a[:, kept[group.name]].mT).Q
        rest = a - (a @ basis) @ basis.mT
        shares.setdefault(group.name, []).append(
            float((rest.norm(dim=(1, 2)) / a.norm(dim=(1, 2)).clamp_min(1e-12)).mean())
        )

    observer.watch([group for group in groups(seen) if group.name in kept], visit)
    return fmean(fmean(values) for values in shares.values())


PAPER = register(
    Paper(
        id="chip",
        title="CHIP: CHannel Independence-based Pruning for Compact Neural Networks",
        authors="Sui, Yin, Xie, Phan, Zonouz, Yuan",
        year=2021,
        venue="NeurIPS",
        arxiv="2110.13981",
        departures=(
            "A residual network of 14 layers on 960 images of CIFAR-10 at a quarter of their size, and 4 epochs of "
            "fine-tuning where the authors take 400, at a constant learning rate; only channels inside blocks go. "
            "Norms keep the statistics of what stays; the authors' code begins them anew. A GraphSAGE network is "
            "added, whose maps are what hidden units hold on all nodes."
        ),
        claims=(*(claim for kind, name in NETWORKS.items() for claim in _claims(kind, name)), FULL),
        scales={
            "smoke": Setup(
                resnet=Case(data="digits", images=150, pretrain=1, epochs=1, keep=("*.norm", "*.norm2")),
                sage=Case(data="digits-graph", pretrain=2, epochs=2, optimizer=Adam(learning_rate=0.01)),
                ratios=(0.5,),
            ),
            "small": Setup(),
            "full": Untestable("needs ResNet-56, ResNet-110 and VGG-16 on CIFAR-10 for 400 epochs, ImageNet, a GPU"),
        },
        experiment=experiment,
    )
)
