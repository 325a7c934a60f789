"""Dynamic hard pruning: a network that shrinks while it trains, with batches that grow into the memory it leaves.

Valerio, Nardini, Passarella & Perego, "Dynamic hard pruning of neural networks at the edge of the internet", Journal of
Network and Computer Applications 200, 2022. Only its abstract was at hand, so the claims are those of the abstract. A
perceptron on Fashion-MNIST loses nine of ten of its units, a GCN on Cora three of four; memory is that of real training
steps, as the allocator sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from torch import nn

from gossamer.compression import Compressed, method
from gossamer.models import for_task
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset
from gossamer.settings import Settings, bounded
from gossamer.tasks import ImageClassification, Task
from gossamer.train import Adam, Optimizer, Training, step_memory

NETWORKS = {
    "mlp": "a perceptron on Fashion-MNIST",
    "gcn": "a GCN on Cora",
}
ERROR = "Up to 3.5 points of error more than the competitors (abstract)."
MEMORY = "Up to 80 % less memory in training (abstract); read as the mean over epochs."
POINTS = "test accuracy in points"


def _no_lower(name: str, statement: str, baseline: str, *, reported: str = ERROR, tolerance: float = 3.5) -> Claim:
    return Claim(
        id=name,
        statement=statement,
        reported=reported,
        metric=POINTS,
        baseline=baseline,
        direction="no lower",
        tolerance=tolerance,
    )


def _ratio(name: str, statement: str, reported: str, metric: str, margin: float) -> Claim:
    return Claim(
        id=name,
        statement=statement,
        reported=reported,
        metric=metric,
        baseline="the whole network",
        direction="lower",
        comparison="ratio",
        margin=margin,
    )


def _claims(kind: str, network: str) -> tuple[Claim, ...]:
    dense = "the whole network after as many epochs"
    return (
        _no_lower(f"{kind}-accuracy", f"Pruned while it trains, {network} loses at most 3.5 points.", dense),
        _no_lower(
            f"{kind}-one-shot",
            f"{network.capitalize()} is as good as one pruned at half time and fine-tuned, within 3.5 points.",
            "as many units removed by magnitude at half time, as many epochs",
        ),
        _no_lower(
            f"{kind}-small",
            f"{network.capitalize()} is as good as a network that is as small from the start, within 3.5 points.",
            "a network of the same widths from its own random weights, as many epochs",
        ),
        Claim(
            id=f"{kind}-choice",
            statement=f"Which units of {network} go matters.",
            reported="Units that contribute marginally are identified and removed (abstract); no figure.",
            metric=POINTS,
            baseline="as many units removed at random at half time, as many epochs",
            direction="higher",
        ),
        _ratio(
            f"{kind}-mean-memory",
            f"Training {network} takes 80 % less memory.",
            MEMORY,
            "measured bytes of a training step, mean over epochs, batches as they are",
            0.2,
        ),
        _ratio(
            f"{kind}-last-memory",
            f"At the end, training {network} takes 80 % less memory than at the start.",
            "Up to 80 % less memory in training (abstract); read as that of the last epoch.",
            "measured bytes of a training step of the last epoch, batches as they are",
            0.2,
        ),
    )


def _batch_claims(kind: str, network: str) -> tuple[Claim, ...]:
    reported = "Batches sized dynamically reduce the loss of accuracy that hard pruning brings (abstract); no figure."
    return (
        Claim(
            id=f"{kind}-batches",
            statement=f"Larger batches, in the memory that is left, make {network} better after as many epochs.",
            reported=reported,
            metric=POINTS,
            baseline="the same with batches as they are, as many epochs",
            direction="higher",
        ),
        Claim(
            id=f"{kind}-batches-at-equal-steps",
            statement=f"Larger batches, in the memory that is left, make {network} better after as many steps.",
            reported=reported,
            metric=POINTS,
            baseline="the same with batches as they are, as many steps",
            direction="higher",
        ),
        Claim(
            id=f"{kind}-memory-is-kept",
            statement=f"Larger batches keep the memory of training {network} at what it was.",
            reported="Memory that pruning frees is used for the batch (abstract).",
            metric="measured bytes of a training step, peak over epochs",
            baseline="the whole network",
            direction="no higher",
            comparison="ratio",
            tolerance=0.05,
        ),
    )


SMALLER = _ratio(
    "ten-times-smaller",
    "A network becomes ten times smaller.",
    "Up to 10 times smaller (abstract).",
    "parameters of the perceptron",
    0.1,
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(12500, ge=1)  # of training, a fifth of them for validation, and of test
    batch_size: int = bounded(32, ge=1)
    hidden: tuple[int, ...] = (512, 256)  # widths
    epochs: int = bounded(30, ge=1)
    sparsity: float = bounded(0.9, gt=0.0, lt=1.0)  # of units
    penalty: float = bounded(1e-4, ge=0.0)  # on groups; chosen on the validation split of another seed
    optimizer: Optimizer = field(default_factory=lambda: Adam(learning_rate=1e-3, weight_decay=0.0))


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    mlp: Case = Case(data="fashion-mnist")
    gcn: Case = Case(
        data="cora",
        hidden=(64,),
        epochs=100,
        sparsity=0.75,
        penalty=0.0,
        optimizer=Adam(learning_rate=0.01, weight_decay=5e-4),
    )


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of all networks."""
    found: dict[str, Pair | Untestable] = {}
    for kind, case in (("mlp", setup.mlp), ("gcn", setup.gcn)):
        claims = [*_claims(kind, NETWORKS[kind]), *(_batch_claims(kind, NETWORKS[kind]) if kind == "mlp" else ())]
        claims += [SMALLER] if kind == "mlp" else []
        try:
            task = (
                dataset(case.data, seed=run.seed)
                if kind == "gcn"
                else image_subset(case.data, case.images, seed=run.seed, batch_size=case.batch_size)
            )
        except Untestable as reason:
            found |= {claim.id: reason for claim in claims}
            continue
        found |= compared(kind, case, task, run)
    return found


def compared(kind: str, case: Case, task: Task, run: Run) -> dict[str, Pair]:
    """Returns what one network answers to its claims."""
    network = build(kind, case.hidden, task)
    training = Training(epochs=case.epochs, optimizer=case.optimizer, keep_best=False)

    def trained(name: str, model: nn.Module, chosen: Any, epochs: int = case.epochs) -> Compressed:
        return run.compress(f"{kind}, {name}", model, task, chosen, training.replace(epochs=epochs))

    dynhp = method("dynhp", sparsity=case.sparsity, penalty=case.penalty)
    dense = trained("dense", network, method("dense"))
    memory = step_memory(dense.model, task, case.optimizer.build(dense.model.parameters())).measured
    fixed = trained("batches as they are", network, dynhp.replace(batches=None))
    widths = [group["kept"] for group in fixed.report["groups"]]
    small = trained("small", build(kind, widths, task), method("dense"))
    one_shot, arbitrary = (
        trained(f"one-shot, {score}", network, method("channels", sparsity=case.sparsity, score=score))
        for score in ("magnitude", "random")
    )
    best = fixed
    found: dict[str, Pair] = {}
    if task.batch_size is not None:
        best = trained("larger batches", network, dynhp)
        longer, epochs = best, case.epochs
        for _ in range(3):  # the schedule stretches with the epochs, so that steps grow more slowly than they do
            if steps(longer) >= 0.95 * steps(fixed):
                break
            epochs = round(epochs * steps(fixed) / steps(longer))
            longer = trained(f"larger batches, {epochs} epochs", network, dynhp, epochs)
        found = {
            "batches": Pair(points(best), points(fixed)),
            "batches-at-equal-steps": Pair(points(longer), points(fixed)),
            "memory-is-kept": Pair(best.report["memory"]["peak_measured"], memory),
        }
    found |= {
        "accuracy": Pair(points(best), points(dense)),
        "one-shot": Pair(points(best), points(one_shot)),
        "small": Pair(points(best), points(small)),
        "choice": Pair(points(best), points(arbitrary)),
        "mean-memory": Pair(fixed.report["memory"]["mean_measured"], memory),
        "last-memory": Pair(fixed.report["phases"][-1]["measured"], memory),
    }
    named = {f"{kind}-{name}": pair for name, pair in found.items()}
    if kind == "mlp":
        named[SMALLER.id] = Pair(float(best.cost.parameters), float(dense.cost.parameters))
    return named


def steps(result: Compressed) -> int:
    """Returns how many steps the training took."""
    return sum(phase["steps"] for phase in result.report["phases"])


def points(result: Compressed) -> float:
    """Returns the test accuracy in points."""
    return 100.0 * result.quality["accuracy"]


def build(kind: str, widths: Any, task: Task) -> nn.Module:
    """Returns the network of a kind with these hidden widths."""
    if kind == "gcn":
        return for_task("gcn", task, hidden=widths[0])
    assert isinstance(task, ImageClassification)
    sizes = task.dimensions()
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([sizes["in_channels"] * sizes["image_size"] ** 2, *widths]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], task.classes))


PAPER = register(
    Paper(
        id="dynhp",
        title="Dynamic Hard Pruning of Neural Networks at the Edge of the Internet",
        authors="Valerio, Nardini, Passarella, Perego",
        year=2022,
        venue="Journal of Network and Computer Applications",
        arxiv="2011.08545",
        departures=(
            "The method is a reading of the abstract. Networks and data are ours: 10,000 images of Fashion-MNIST for "
            "30 epochs in batches of 32, Cora for 100. Batches grow in all comparisons of the perceptron's accuracy "
            "but those that name them; a GCN on one graph takes all of it at every step, so its memory is saved."
        ),
        claims=(
            SMALLER,
            *(claim for kind, network in NETWORKS.items() for claim in _claims(kind, network)),
            *_batch_claims("mlp", NETWORKS["mlp"]),
        ),
        scales={
            "smoke": Setup(
                mlp=Case(data="digits", images=150, hidden=(16, 8), epochs=2),
                gcn=Case(data="digits-graph", hidden=(16,), epochs=3, sparsity=0.5, optimizer=Adam(learning_rate=0.01)),
            ),
            "small": Setup(),
            "full": Untestable("needs the data sets and networks of the paper, which its abstract does not name"),
        },
        experiment=experiment,
    )
)
