"""Only train once: are units and operators that training presses to zero gone for nothing, without fine-tuning?

Chen, Ding, Zhu, Chen, Wu, Zharkov & Liang, "OTOv3", 2023 (arXiv 2312.09411), prunes by DHSPG and erases by H2SPG. A
small residual network on Fashion-MNIST and a GCN on Cora lose units, a network of cells with three branches on CIFAR-10
loses branches; all arms train from the same weights for as many epochs.
"""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gossamer.compression import Compressed, method
from gossamer.models import for_task
from gossamer.models.vision.branched import Cells, Residual
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.papers.slr import image_subset
from gossamer.prune.operator_space import OperatorSpace
from gossamer.prune.pressing import Chance, SoftThreshold
from gossamer.settings import Settings, bounded
from gossamer.tasks import Task
from gossamer.train import SGD, Adam, Cosine, Optimizer, Training

POINTS = "test accuracy in points"
DENSE = "the whole network after as many epochs"
CIFAR = "CIFAR-10, ResNet-18, 70 % of the groups: 92.86 %, 0.16 points less than whole (the authors' tutorial)."


def _claim(
    name: str, statement: str, baseline: str, reported: str, *, metric: str = POINTS, within: float | None = None
) -> Claim:
    """Returns a claim of more than the baseline, or, where `within` is given, of at most so much less."""
    direction: Any = "higher" if within is None else "no lower"
    return Claim(
        id=name,
        statement=statement,
        reported=reported,
        metric=metric,
        baseline=baseline,
        direction=direction,
        tolerance=within or 0.0,
    )


def _fewer(name: str, statement: str, metric: str, margin: float) -> Claim:
    return Claim(
        id=name,
        statement=statement,
        reported="CIFAR-10, ResNet-18, 70 % of the groups: 91 % fewer parameters, 80 % fewer FLOPs (tutorial).",
        metric=metric,
        baseline="the whole network",
        direction="lower",
        comparison="ratio",
        margin=margin,
    )


def _exact(name: str, what: str) -> Claim:
    return Claim(
        id=name,
        statement=f"Cutting out {what} that are zero does not change what the network computes.",
        reported="The sub-network returns exactly what the full network returns.",
        metric="largest difference of the outputs, as a fraction of the largest output",
        baseline="no difference",
        direction="no higher",
        tolerance=1e-5,
    )


NO_FIGURE = "No figure for this network."
CLAIMS = (
    _claim(
        "half-accuracy",
        "With half of its units gone, a residual network is as good as whole.",
        DENSE,
        CIFAR,
        within=1.0,
    ),
    _claim(
        "accuracy", "With 70 % of its units gone, a residual network is as good as whole.", DENSE, CIFAR, within=1.0
    ),
    _fewer("parameters", "70 % of the units are 91 % of the parameters.", "parameters at 70 %", 0.09),
    _fewer("macs", "70 % of the units are 80 % of the arithmetic.", "multiply-accumulates at 70 %", 0.2),
    _exact("units-exact", "units"),
    _claim(
        "control",
        "DHSPG reaches the sparsity that it is asked for; a proximal group lasso does not.",
        "a group lasso by soft thresholds, of strengths from a grid the one best on validation",
        "Sparsity is explicitly controlled, which proximal methods do not do; no figure.",
        metric="units that training put to zero, over those asked for, at 70 %",
    ),
    _claim(
        "proximal",
        "At 70 %, DHSPG is more accurate than a proximal group lasso.",
        "the same group lasso, what is missing put to zero at the end",
        NO_FIGURE,
    ),
    _claim(
        "fine-tuned",
        "At 70 % and without fine-tuning, DHSPG is as good as pruning by group magnitude and fine-tuning.",
        "units removed by group magnitude at half time, as many epochs in all",
        NO_FIGURE,
        within=1.0,
    ),
    _claim(
        "depgraph",
        "At 70 % and without fine-tuning, DHSPG is as good as DepGraph's own library with fine-tuning.",
        "Torch-Pruning's group magnitude at half time, for as many multiply-accumulates, as many epochs in all",
        NO_FIGURE,
        within=1.0,
    ),
    _claim(
        "chance",
        "At 70 %, which units are pressed to zero matters.",
        "units chosen at random, pressed alike",
        NO_FIGURE,
    ),
    _claim(
        "small",
        "At 70 %, DHSPG is as good as a network that is as small from the start.",
        "a network of the same widths from its own random weights, as many epochs",
        NO_FIGURE,
        within=1.0,
    ),
    _claim("graph-accuracy", "With 70 % of its units gone, a GCN is as good as whole.", DENSE, NO_FIGURE, within=1.0),
    _claim(
        "graph-chance", "Of a GCN too, which units are pressed to zero matters.", "units chosen at random", NO_FIGURE
    ),
    _claim(
        "connected",
        "What H2SPG erases leaves a network; erasing at random may not.",
        "as many branches drawn at random, 1000 times",
        "Connected by construction.",
        metric="fraction of erased networks that still lead from input to output",
    ),
    _claim(
        "erased-accuracy",
        "With a third of its operators erased, a network of cells is as good as whole.",
        DENSE,
        "Sub-networks match or exceed the whole (summary).",
        within=1.0,
    ),
    _claim(
        "erased-chance",
        "Which operators are erased matters.",
        "operators chosen at random among those without which it is still a network, pressed alike",
        NO_FIGURE,
    ),
    _exact("operators-exact", "operators"),
    _claim(
        "imagenet",
        "ResNet-50 keeps 75.2 % on ImageNet with 40 % of its groups gone.",
        "75.2 %",
        "75.2 ± 0.1 % top-1 (the authors' tables).",
        metric="top-1 accuracy in points",
        within=0.5,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Case(Settings):
    """One network on one data set."""

    data: str
    images: int = bounded(2000, ge=1)  # of training, a fifth of them for validation, and of test
    width: int = bounded(12, ge=1)
    epochs: int = bounded(20, ge=1)
    sparsity: float = bounded(0.7, gt=0.0, lt=1.0)
    optimizer: Optimizer = field(default_factory=lambda: SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4))


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    units: Case = Case(data="fashion-mnist")
    graph: Case = Case(data="cora", width=64, epochs=100, optimizer=Adam(learning_rate=0.01, weight_decay=5e-4))
    operators: Case = Case(data="cifar10", epochs=15, sparsity=1 / 3)
    strengths: tuple[float, ...] = bounded((0.03, 0.1), gt=0.0)  # of the group lasso


def experiment(setup: Setup, run: Run) -> Outcome:
    """One seed of all networks."""
    found: dict[str, Pair | Untestable] = {"imagenet": Untestable("needs ImageNet, and GPUs for days")}
    for part, case in ((of_units, setup.units), (of_a_graph, setup.graph), (of_operators, setup.operators)):
        try:
            found |= part(case, setup, run)
        except Untestable as reason:
            found |= dict.fromkeys(ANSWERS[part.__name__], reason)
    return found


ANSWERS = {
    "of_units": tuple(claim.id for claim in CLAIMS[:11]),
    "of_a_graph": ("graph-accuracy", "graph-chance"),
    "of_operators": ("connected", "erased-accuracy", "erased-chance", "operators-exact"),
}


def of_units(case: Case, setup: Setup, run: Run) -> dict[str, Pair | Untestable]:
    """Answers the claims on units of a residual network."""
    task = image_subset(case.data, case.images, seed=run.seed)
    network, training = Residual(task.dimensions()["in_channels"], case.width, task.classes), _training(case)

    def trained(name: str, chosen: Any, model: nn.Module = network, epochs: int = case.epochs) -> Compressed:
        return run.compress(f"units, {name}", model, task, chosen, training.replace(epochs=epochs))

    dense = trained("dense", method("dense"))
    half = trained("half", method("dhspg", sparsity=0.5))
    pressed = method("dhspg", sparsity=case.sparsity)
    small = trained("dhspg", pressed)
    lasso = max(
        (
            trained(f"lasso {strength:g}", pressed.replace(pressing=SoftThreshold(strength=strength), until=1.0))
            for strength in setup.strengths
        ),
        key=lambda one: one.validation["accuracy"],
    )
    fine_tuned = trained("fine-tuned", method("channels", sparsity=case.sparsity, allocation="global"))
    chance = trained("chance", pressed.replace(redundancy=Chance()))
    fresh = trained("small", method("dense"), _again(small.model))
    reached = [
        (one.report["zero"] - one.report["forced"]) / int(case.sparsity * one.report["groups"])
        for one in (small, lasso)
    ]
    return {
        "half-accuracy": Pair(points(half), points(dense)),
        "accuracy": Pair(points(small), points(dense)),
        "parameters": Pair(float(small.cost.parameters), float(dense.cost.parameters)),
        "macs": Pair(float(small.cost.macs), float(dense.cost.macs)),
        "units-exact": Pair(small.report["difference"], 0.0),
        "control": Pair(*reached),
        "proximal": Pair(points(small), points(lasso)),
        "fine-tuned": Pair(points(small), points(fine_tuned)),
        "depgraph": _depgraph(small, network, task, case, run),
        "chance": Pair(points(small), points(chance)),
        "small": Pair(points(small), points(fresh)),
    }


def _depgraph(small: Compressed, network: nn.Module, task: Task, case: Case, run: Run) -> Pair | Untestable:
    """Compares with Torch-Pruning at half time, of a ratio that leaves as many multiply-accumulates."""
    try:
        peer: Any = importlib.import_module("torch_pruning")
    except ImportError:
        return Untestable("needs the package torch-pruning, the library of DepGraph")
    training = _training(case)
    first = run.compress(
        "units, depgraph, whole", network, task, method("dense"), training.replace(epochs=case.epochs // 2)
    )

    def pruned(ratio: float) -> nn.Module:
        model = copy.deepcopy(first.model)
        peer.pruner.BasePruner(
            model,
            task.example()[0],
            importance=peer.importance.GroupMagnitudeImportance(),
            pruning_ratio=ratio,
            global_pruning=True,
            ignored_layers=[model.head],
        ).step()
        return model

    low, high = 0.0, 0.95
    for _ in range(8):
        ratio = 0.5 * (low + high)
        macs, _ = peer.utils.count_ops_and_params(pruned(ratio), task.example()[0])
        low, high = (ratio, high) if macs > small.cost.macs else (low, ratio)
    tuned = run.compress(
        "units, depgraph", pruned(high), task, method("dense"), training.replace(epochs=case.epochs - case.epochs // 2)
    )
    return Pair(points(small), points(tuned))


def of_a_graph(case: Case, setup: Setup, run: Run) -> dict[str, Pair]:
    """Answers the claims on units of a graph network."""
    del setup
    task = dataset(case.data, seed=run.seed)
    network, training = for_task("gcn", task, hidden=case.width), _training(case)
    pressed = method("dhspg", sparsity=case.sparsity)
    dense = run.compress("graph, dense", network, task, method("dense"), training)
    small = run.compress("graph, dhspg", network, task, pressed, training)
    chance = run.compress("graph, chance", network, task, pressed.replace(redundancy=Chance()), training)
    return {
        "graph-accuracy": Pair(points(small), points(dense)),
        "graph-chance": Pair(points(small), points(chance)),
    }


def of_operators(case: Case, setup: Setup, run: Run) -> dict[str, Pair]:
    """Answers the claims on branches of a network of cells."""
    del setup
    task = image_subset(case.data, case.images, seed=run.seed)
    network, training = Cells(task.dimensions()["in_channels"], case.width, task.classes), _training(case)
    erased = method("h2spg", sparsity=case.sparsity)
    dense = run.compress("operators, dense", network, task, method("dense"), training)
    small = run.compress("operators, h2spg", network, task, erased, training)
    chance = run.compress("operators, chance", network, task, erased.replace(redundancy=Chance()), training)
    space = OperatorSpace(copy.deepcopy(network), task.example())
    gone = [branch for branch in space.branches if branch.name in small.report["erased"]]
    return {
        "connected": Pair(float(space.flow.stands_without(gone)), connected_by_chance(space, case.sparsity)),
        "erased-accuracy": Pair(points(small), points(dense)),
        "erased-chance": Pair(points(small), points(chance)),
        "operators-exact": Pair(small.report["difference"], 0.0),
    }


def connected_by_chance(space: OperatorSpace, ratio: float, draws: int = 1000) -> float:
    """Returns the fraction of random choices of branches without which the network is still one."""
    count, standing = space.wanted(ratio), 0
    for _ in range(draws):
        some = torch.randperm(len(space.branches))[:count].tolist()
        standing += space.flow.stands_without([space.branches[one] for one in some])
    return standing / draws


def points(result: Compressed) -> float:
    """Returns the test accuracy in points."""
    return 100.0 * result.quality["accuracy"]


def _training(case: Case) -> Training:
    return Training(epochs=case.epochs, optimizer=case.optimizer, schedule=Cosine(), keep_best=False)


def _again(model: nn.Module) -> nn.Module:
    """Returns a network of the same shapes with fresh weights."""
    other = copy.deepcopy(model)
    for module in other.modules():
        reset: Any = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return other


PAPER = register(
    Paper(
        id="otov3",
        title="OTOv3: Automatic Architecture-Agnostic Neural Network Training and Compression from Structured Pruning "
        "to Erasing Operators",
        authors="Chen, Ding, Zhu, Chen, Wu, Zharkov, Liang",
        year=2023,
        arxiv="2312.09411",
        departures=(
            "Networks of three residual blocks or three cells, 1,600 training images, 15 to 20 epochs, a learning rate "
            "on a cosine. A penalty is raised so far that what was chosen is zero by 70 % of the training; zeros are "
            "then cut out at once. H2SPG is a reading of its companion paper."
        ),
        claims=CLAIMS,
        scales={
            "smoke": Setup(
                units=Case(data="digits", images=100, width=3, epochs=2),
                graph=Case(data="digits-graph", width=8, epochs=2, optimizer=Adam(learning_rate=0.01)),
                operators=Case(data="digits", images=100, width=3, epochs=2, sparsity=1 / 3),
                strengths=(0.1,),
            ),
            "small": Setup(),
            "full": Untestable("needs ResNet-50 on ImageNet and SuperResNet on CIFAR-10, and GPUs for days"),
        },
        experiment=experiment,
    )
)
