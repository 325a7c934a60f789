"""Widths and weights at once, against one after the other and against pruning alone, at as many weights.

You, Li, Sun, Ouyang & Lin, "SuperTickets: drawing task-agnostic lottery tickets from supernets via jointly architecture
searching and parameter pruning", ECCV 2022. Its supernet has convolutions of several sizes and transformers at four
resolutions; here a small one has three stages of three parallel branches. Only widths are searched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gossamer.compression import Compressed, Method, method
from gossamer.models import for_task
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset, points
from gossamer.prune.allocation import Global
from gossamer.prune.channel_search import ChannelSearch
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import OneShot
from gossamer.prune.scores import Random
from gossamer.prune.supertickets import SuperTicket
from gossamer.prune.weights import prunable_weights
from gossamer.settings import Settings, bounded
from gossamer.structure import GroupRandom
from gossamer.tasks import ImageClassification, Task
from gossamer.train import Adam, Optimizer, Training

REPORTED = (
    "Better accuracy at the same efficiency on ImageNet and three other sets (abstract); tables were not at hand."
)
METRIC = "test accuracy in points at the same number of weights"
NETWORKS = {"fashion": "a supernet on Fashion-MNIST", "cifar": "a supernet on CIFAR-10", "gcn": "a GCN on Cora"}


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    def claim(name: str, statement: str, baseline: str, reported: str = REPORTED) -> Claim:
        return Claim(
            id=f"{kind}-{name}",
            statement=statement,
            reported=reported,
            metric=METRIC,
            baseline=baseline,
            direction="higher",
        )

    common = (
        claim("random", f"A SuperTicket of {network} is better than random weights.", "random weights, at half time"),
        claim(
            "magnitude",
            f"A SuperTicket of {network} is better than train-and-prune.",
            "the smallest weights of all layers removed at once at half time, and retrained",
        ),
        claim(
            "scratch",
            f"A SuperTicket of {network} is better than a small network that is trained from scratch.",
            "a network with fewer channels, trained for as many epochs",
        ),
        claim(
            "reactivation",
            f"That masked weights may come back makes a SuperTicket of {network} better.",
            "the same, but what is masked stays so",
            "Named as an enabler of the tickets' quality; no figure was at hand.",
        ),
        claim(
            "progressive",
            f"That ever more weights are masked makes a SuperTicket of {network} better.",
            "the same, but all are masked at once, when the last would be",
            "Named as an enabler of the tickets' quality; no figure was at hand.",
        ),
    )
    if kind == "gcn":
        return common
    only = claim(
        "prune-only",
        f"Search and pruning at once are better than pruning all of {network}.",
        "progressive pruning of the whole network, without a search",
    )
    if kind == "cifar":
        return (*common, only)
    return (
        *common,
        only,
        claim(
            "one-by-one",
            f"Search and pruning of {network} at once are better than one after the other.",
            "half of the epochs of search, then half of progressive pruning of what it found",
        ),
        Claim(
            id=f"{kind}-retraining",
            statement=f"A SuperTicket of {network} needs no retraining.",
            reported="Tickets are drawn with or without retraining (abstract); no figure was at hand.",
            metric=f"{METRIC}, without retraining",
            baseline="the same ticket after a quarter as many epochs of retraining",
            direction="no lower",
            tolerance=1.0,
        ),
    )


TRANSFER = Claim(
    id="transfer",
    statement="The weights that a ticket of Fashion-MNIST keeps serve digits better than random ones.",
    reported="Tickets transfer across tasks (abstract); no figure was at hand.",
    metric="test accuracy in points on digits, with a new last layer",
    baseline="the same weights of the trained supernet, masked at random, as many of them",
    direction="higher",
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(600, ge=1)  # of training and of test, where the data are images
    epochs: int = bounded(20, ge=4)  # of every arm
    optimizer: Optimizer = field(default_factory=lambda: Adam(learning_rate=0.01, weight_decay=0.0))


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    fashion: Case = Case(data="fashion-mnist")
    cifar: Case = Case(data="cifar10")
    gcn: Case = Case(data="cora", epochs=60, optimizer=Adam(learning_rate=0.01))
    sparsity: float = bounded(0.8, gt=0.0, lt=1.0)  # of what the search leaves
    search: ChannelSearch = field(default_factory=lambda: ChannelSearch(strength=0.01, dead=0.05))
    width: int = bounded(8, ge=1)  # channels of a branch


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of all networks."""
    found: dict[str, Pair | Untestable] = {}
    for kind, case in (("fashion", setup.fashion), ("cifar", setup.cifar), ("gcn", setup.gcn)):
        claims = [*_claims(kind, NETWORKS[kind]), *([TRANSFER] if kind == "fashion" else [])]
        try:
            task = (
                dataset(case.data, seed=run.seed)
                if kind == "gcn"
                else image_subset(case.data, case.images, seed=run.seed)
            )
        except Untestable as reason:
            found |= {claim.id: reason for claim in claims}
            continue
        network = for_task("gcn", task, hidden=16) if kind == "gcn" else Supernet(task, setup.width)
        found |= compared(kind, case, network, task, setup=setup, run=run)
    return found


def compared(
    kind: str, case: Case, network: nn.Module, task: Task, *, setup: Setup, run: Run
) -> dict[str, Pair | Untestable]:
    """Returns what one network answers."""
    training = Training(epochs=case.epochs, optimizer=case.optimizer, keep_best=False)
    joint = SuperTicket(sparsity=setup.sparsity, search=None if kind == "gcn" else setup.search)

    def made(label: str, chosen: Method, model: nn.Module = network, epochs: int = case.epochs) -> Compressed:
        return run.compress(f"{kind}, {label}", model, task, chosen, training.replace(epochs=epochs))

    ticket = made("ticket", joint)
    whole = sum(weight.weight.numel() for weight in prunable_weights(network))
    sparsity = 1.0 - nonzeros(ticket.model) / whole  # of the whole network, which other arms are given
    last = joint.schedule.plan(1000, sparsity)[-1].step / 1000
    half = OneShot(at=0.5)
    baselines: dict[str, Method] = {
        "random": HardMasks(sparsity=sparsity, score=Random(), schedule=half),
        "magnitude": HardMasks(sparsity=sparsity, allocation=Global(), schedule=half),
        "scratch": ChannelPruning(
            sparsity=1.0 - math.sqrt(1.0 - sparsity), schedule=OneShot(at=0.0), score=GroupRandom()
        ),
        "reactivation": joint.replace(reactivation="none"),
        "progressive": joint.replace(schedule=OneShot(at=last)),
    }
    if kind != "gcn":
        baselines["prune-only"] = joint.replace(search=None, sparsity=sparsity)
    results = {name: made(name, chosen) for name, chosen in baselines.items()}
    best = points(ticket)
    found: dict[str, Pair | Untestable] = {
        f"{kind}-{name}": Pair(best, points(result)) for name, result in results.items()
    }
    if kind != "fashion":
        return found

    searched = made("search", joint.replace(sparsity=0.0), epochs=case.epochs // 2).model
    left = sum(weight.weight.numel() for weight in prunable_weights(searched))
    rest = joint.replace(search=None, sparsity=max(0.0, 1.0 - nonzeros(ticket.model) / left))
    found[f"{kind}-one-by-one"] = Pair(
        best, points(made("then pruning", rest, searched, case.epochs - case.epochs // 2))
    )
    again = held(ticket.model)
    found[f"{kind}-retraining"] = Pair(best, points(made("retraining", again, ticket.model, case.epochs // 4)))
    found[TRANSFER.id] = transferred(ticket.model, made("dense", method("dense")).model, case, setup=setup, run=run)
    return found


def transferred(ticket: nn.Module, dense: nn.Module, case: Case, *, setup: Setup, run: Run) -> Pair:
    """Returns what a ticket, and as many random weights of a trained network, are worth on digits."""
    task = image_subset("digits", case.images, seed=run.seed)
    training = Training(epochs=case.epochs // 4, optimizer=case.optimizer, keep_best=False)
    whole = sum(weight.weight.numel() for weight in prunable_weights(dense))
    chance = HardMasks(sparsity=1.0 - nonzeros(ticket) / whole, score=Random(), schedule=OneShot(at=0.0))
    values = []
    for name, network, chosen in (("ticket", ticket, held(ticket)), ("random weights", dense, chance)):
        assert isinstance(network, Supernet)
        network.linear.reset_parameters()
        result = run.compress(f"transfer of {name}", network, task, chosen, training)
        values.append(points(result))
    return Pair(*values)


def held(model: nn.Module) -> HardMasks:
    """Returns the method that trains a pruned network on and holds its zeros, for zeros are its smallest weights."""
    whole = sum(weight.weight.numel() for weight in prunable_weights(model))
    return HardMasks(sparsity=1.0 - nonzeros(model) / whole, allocation=Global(), schedule=OneShot(at=0.0))


def nonzeros(model: nn.Module) -> int:
    """Returns how many weights of layers are not zero."""
    return sum(int(weight.weight.count_nonzero()) for weight in prunable_weights(model))


class Supernet(nn.Module):
    """Three stages of three parallel branches: convolutions of 3×3, 5×5 by channel and 1×1, normalised and added.

    Args:
        task: Of images of one or three channels.
        width: Channels of every stage.
    """

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        assert isinstance(task, ImageClassification)
        sizes = task.dimensions()
        self.pool = nn.AvgPool2d(max(1, sizes["image_size"] // 8))
        self.stem = nn.Sequential(
            nn.Conv2d(sizes["in_channels"], width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.stages = nn.ModuleList(Stage(width, stride) for stride in (1, 2, 2))
        self.linear = nn.Linear(width, task.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, C, H, W) to (B, classes)."""
        x = torch.relu(self.stem(self.pool(x)))
        for stage in self.stages:
            x = stage(x)
        out: Tensor = self.linear(x.mean((2, 3)))
        return out


class Stage(nn.Module):
    """Three branches, each widened, activated and narrowed again, whose sum is activated."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()

        def branch(kernel: int, groups: int) -> nn.Sequential:
            out = 2 * width if groups > 1 else width
            spread = nn.Conv2d(2 * width, out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
            return nn.Sequential(
                nn.Conv2d(width, 2 * width, 1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.ReLU(),
                spread,
                nn.BatchNorm2d(out),
                *([nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width)] if groups > 1 else []),
            )

        self.branches = nn.ModuleList([branch(3, 1), branch(5, 2 * width), branch(1, 1)])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, width, H, W) to (B, width, ⌈H / stride⌉, ⌈W / stride⌉)."""
        return torch.relu(torch.stack([branch(x) for branch in self.branches]).sum(0))


PAPER = register(
    Paper(
        id="supertickets",
        title="SuperTickets: Drawing Task-Agnostic Lottery Tickets from Supernets via Jointly Architecture Searching "
        "and Parameter Pruning",
        authors="You, Li, Sun, Ouyang, Lin",
        year=2022,
        venue="ECCV",
        arxiv="2207.03677",
        departures=(
            "A small supernet, images of 8 by 8 and short training by Adam, where the penalty on scales has to be "
            "stronger, and a scale counts as none below 0.05; no moving average of weights. Widths of branches are "
            "searched; which branches there are, and at which resolutions, is not. A GCN has no scales, so its weights "
            "alone are pruned. Every arm has as many weights as the ticket; a narrower network has a few more or less."
        ),
        claims=(*(claim for kind, network in NETWORKS.items() for claim in _claims(kind, network)), TRANSFER),
        scales={
            "smoke": Setup(
                fashion=Case(data="digits", images=150, epochs=4),
                cifar=Case(data="digits", images=150, epochs=4),
                gcn=Case(data="digits-graph", epochs=4, optimizer=Adam(learning_rate=0.01)),
                width=4,
            ),
            "small": Setup(),
            "full": Untestable("needs the supernet on ImageNet and Cityscapes, and a GPU for weeks"),
        },
        experiment=experiment,
    )
)
