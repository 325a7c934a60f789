"""Groups of units that talk to one group of the next layer, against dense networks and masks without groups.

Konstantaropoulos, Smirnakis & Papadopouli, "Neuro-inspired ensemble-to-ensemble communication primitives for sparse and
efficient ANNs", BIBE 2025. Only its abstract was at hand, so its networks, its training and the details of its rewiring
are not known; here a perceptron with three hidden layers does the paper's comparison, and the controls that show which
part of the method does what. All networks begin with He's weights and train for as many epochs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from gossamer.compression import Method, method
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset
from gossamer.papers.sparsity_survey import narrowed, perceptron
from gossamer.prune.growth import AtRandom, ByGradient
from gossamer.prune.scores import Random
from gossamer.settings import Settings, bounded
from gossamer.tasks import ImageClassification
from gossamer.train import Adam, Training

POINTS = "test accuracy in points"
SETS = {"fashion": "Fashion-MNIST", "cifar": "CIFAR-10"}
CONTROL = "A control of ours; the abstract gives no figure."


def _claims(kind: str, data: str) -> tuple[Claim, ...]:
    def claim(name: str, statement: str, baseline: str, reported: str = CONTROL) -> Claim:
        return Claim(
            id=f"{kind}-{name}",
            statement=f"On {data}, {statement}",
            reported=reported,
            metric=POINTS,
            baseline=baseline,
            direction="higher",
        )

    return (
        claim(
            "beats-dense",
            "a perceptron of groups with a quarter of the weights is more accurate than the dense one.",
            "the dense network of the same width, after as many epochs",
            "Up to 4.3 points over dense networks at up to 75 % sparsity, on three sets of images (abstract).",
        ),
        claim(
            "beats-small-dense",
            "a perceptron of groups is more accurate than a narrower dense one with as many weights.",
            "a dense network with narrower hidden layers and at least as many weights, after as many epochs",
        ),
        claim(
            "groups-beat-chance",
            "weights between groups, which stay, are better than as many in random places.",
            "a random mask of the same density that stays, after as many epochs",
        ),
        claim(
            "rewiring-helps",
            "weights that move to where activities correlate are better than weights that stay.",
            "the same groups without any move, after as many epochs",
            "Rewiring by activity adds to the accuracy (abstract); no figure.",
        ),
        claim(
            "hebb-beats-chance",
            "growing where activities correlate is better than growing anywhere.",
            "the same groups, as many weights moved at random, after as many epochs",
        ),
        claim(
            "hebb-beats-gradient",
            "growing where activities correlate is better than where the gradient is largest.",
            "the same groups, as many weights moved by gradient, after as many epochs",
        ),
    )


QUARTER = Claim(
    id="a-quarter-of-the-weights",
    statement="The network of groups has a quarter of the dense one's nonzeros, its layer of outputs included.",
    reported="Up to 75 % sparsity, and fewer computations (abstract).",
    metric="nonzero parameters",
    baseline="the dense network of the same width",
    direction="lower",
    comparison="ratio",
    margin=0.25,
    tolerance=0.05,
)
CIFAR_100 = Claim(
    id="cifar100-beats-dense",
    statement="On CIFAR-100, a network of groups with a quarter of the weights is more accurate than the dense one.",
    reported="Up to 4.3 points over dense networks at up to 75 % sparsity, on three sets of images (abstract).",
    metric=POINTS,
    baseline="the dense network of the same width, after as many epochs",
    direction="higher",
)


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    fashion: str = "fashion-mnist"
    cifar: str = "cifar10"
    images: int = bounded(2500, ge=0)  # of training, a fifth of them for validation, and as many of test; 0 = all
    hidden: tuple[int, ...] = (512, 512, 512)
    epochs: int = bounded(8, ge=1)  # of each network
    every: int = bounded(32, ge=1)  # steps between two moves: an epoch
    learning_rate: float = bounded(1e-3, gt=0.0)


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of both sets of images."""
    found: dict[str, Pair | Untestable] = {CIFAR_100.id: Untestable("needs CIFAR-100")}
    for kind, data in (("fashion", setup.fashion), ("cifar", setup.cifar)):
        try:
            task = image_subset(data, setup.images, seed=run.seed) if setup.images else dataset(data, seed=run.seed)
        except Untestable as reason:
            found |= {claim.id: reason for claim in _claims(kind, SETS[kind])}
            found.setdefault(QUARTER.id, reason)
            continue
        assert isinstance(task, ImageClassification)
        pairs = compared(kind, task, setup=setup, run=run)
        found[QUARTER.id] = pairs.pop("quarter")
        found |= {f"{kind}-{claim}": pair for claim, pair in pairs.items()}
    return found


def compared(kind: str, task: ImageClassification, *, setup: Setup, run: Run) -> dict[str, Pair]:
    """Returns what one set of images answers to the claims, whose ids stand without its kind."""
    sizes = task.dimensions()
    widths = [sizes["in_channels"] * sizes["image_size"] ** 2, *setup.hidden, sizes["classes"]]
    network, narrow = redrawn(perceptron(widths)), redrawn(perceptron(narrowed(widths, 0.25)))
    training = Training(
        epochs=setup.epochs,
        optimizer=Adam(learning_rate=setup.learning_rate),
        patience=None,
        keep_best=False,
        validate_every=setup.epochs,
    )
    hebb = method("g2gnet", every=setup.every)
    tried: dict[str, tuple[nn.Module, Method]] = {
        "dense": (network, method("dense")),
        "narrow": (narrow, method("dense")),
        "chance": (network, method("g2gnet-static", initial=Random())),
        "static": (network, method("g2gnet-static")),
        "hebb": (network, hebb),
        "random": (network, hebb.replace(grow=AtRandom())),
        "gradient": (network, hebb.replace(grow=ByGradient())),
    }
    found = {
        name: run.compress(f"{kind}, {name}", model, task, chosen, training) for name, (model, chosen) in tried.items()
    }

    def points(one: str, other: str) -> Pair:
        return Pair(*(100.0 * found[which].quality["accuracy"] for which in (one, other)))

    return {
        "beats-dense": points("hebb", "dense"),
        "beats-small-dense": points("hebb", "narrow"),
        "groups-beat-chance": points("static", "chance"),
        "rewiring-helps": points("hebb", "static"),
        "hebb-beats-chance": points("hebb", "random"),
        "hebb-beats-gradient": points("hebb", "gradient"),
        "quarter": Pair(float(found["hebb"].cost.nonzeros), float(found["dense"].cost.nonzeros)),
    }


def redrawn(network: nn.Module) -> nn.Module:
    """Returns a copy with He's weights and no biases, as the sparse networks begin."""
    fresh = copy.deepcopy(network)
    with torch.no_grad():
        for layer in fresh.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
    return fresh


PAPER = register(
    Paper(
        id="g2gnet",
        title="Neuro-inspired Ensemble-to-Ensemble Communication Primitives for Sparse and Efficient ANNs",
        authors="Konstantaropoulos, Smirnakis, Papadopouli",
        year=2025,
        venue="BIBE",
        arxiv="2508.14140",
        departures=(
            "Only the abstract was at hand: a perceptron of three hidden layers of 512 units stands for the paper's "
            "networks, the rewiring is a proposal that fits the abstract, and training is short, 8 epochs with Adam "
            "on 2,000 images. Groups are strict at first, 4 of them; the layer of outputs is dense."
        ),
        claims=(*(claim for kind, data in SETS.items() for claim in _claims(kind, data)), QUARTER, CIFAR_100),
        scales={
            "smoke": Setup(fashion="digits", cifar="digits", images=300, hidden=(32, 32, 32), epochs=2, every=2),
            "small": Setup(),
            "full": Setup(images=0, hidden=(1024, 1024, 1024), epochs=100, every=750),
        },
        experiment=experiment,
    )
)
