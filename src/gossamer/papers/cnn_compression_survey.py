"""What a survey of ways to make convolutional networks small says of them, side by side at equal compression.

Cheng, Wang, Zhou & Zhang, "A survey of model compression and acceleration for deep neural networks", 2017: pruning and
sharing, low rank, compact filters, distillation. It reports the literature and has no experiments of its own. Here
every way begins with the same trained network, is brought to the same rate, and trains on for as many epochs; a smaller
network trained from the beginning for as many epochs altogether and the removal of filters stand beside them. Rates are
those of the weights that can be removed; of a codebook, of their bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.compression import Compressed, Method, method
from gossamer.nn import CyclicPool, TurnedConv2d
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, dataset
from gossamer.papers.protocol.paper import Claim, Paper
from gossamer.papers.protocol.registry import register
from gossamer.prune.schedules import OneShot
from gossamer.settings import Settings, bounded
from gossamer.tasks import ImageClassification, Images
from gossamer.tasks.task import Split, Task
from gossamer.timing import interleaved
from gossamer.train import Adam, Training

POINTS = "test accuracy in points"
LITERATURE = "As the literature it reviews has it, in words; we know no figure for this network."
DENSE = "the network that they begin with, after as many further epochs"

WAYS = {  # name of the method: what it does to the network
    "magnitude-filters": "With its smallest filters removed",
    "channel-svd": "With layers split in two by singular values",
    "spatial": "With kernels split into columns and rows",
    "tucker": "With layers in Tucker form",
    "cp": "With layers as sums of products of vectors",
    "depthwise-separable": "With convolutions made depthwise separable",
}
RATES = (2, 4, 8)
BITS = {4: 8, 8: 4, 16: 2}  # rate of a codebook: bits of a code
LOW_RANK = ("channel-svd", "spatial", "tucker", "cp", "depthwise-separable")
TIMED = 4  # the rate at which networks are timed


def _no_worse(name: str, statement: str) -> Claim:
    return Claim(
        id=name,
        statement=statement,
        reported="Compression need not cost much accuracy (abstract); read as a point.",
        metric=POINTS,
        baseline=DENSE,
        direction="no lower",
        tolerance=1.0,
    )


def _better(name: str, statement: str, baseline: str, reported: str = LITERATURE) -> Claim:
    return Claim(id=name, statement=statement, reported=reported, metric=POINTS, baseline=baseline, direction="higher")


CLAIMS = (
    *(
        _no_worse(f"{way}-{rate}x", f"{words}, at {rate}x, a network loses no more than a point.")
        for way, words in WAYS.items()
        for rate in RATES
    ),
    *(
        _no_worse(f"codebook-{rate}x", f"With weights of {bits} bits by k-means, a network loses no more than a point.")
        for rate, bits in BITS.items()
    ),
    _no_worse("crelu", "With half of its filters opposites of the others, a network loses no more than a point."),
    *(
        Claim(
            id=f"{way}-faster",
            statement=f"{WAYS[way]}, at {TIMED}x, a network is faster.",
            reported="Factorised and compact filters accelerate as well as compress (sections on both families).",
            metric="median time of one call, ms",
            baseline="the dense network, timed in turns with it",
            direction="lower",
            comparison="ratio",
        )
        for way in LOW_RANK
    ),
    Claim(
        id="time-falls-by-less",
        statement=f"Even the fastest of them, at {TIMED}x, speeds up by less than it is compressed.",
        reported="Rates of compression and of speed are given apart, as one does not follow from the other (metrics).",
        metric="speed-up, times",
        baseline="its compression rate in parameters, times",
        direction="lower",
    ),
    _better(
        "training-first-beats-small",
        "At 4x, a trained network brought to Tucker form is better than a smaller network.",
        "a network with a quarter of the weights, trained from the beginning for as many epochs altogether",
    ),
    _better(
        "sharing-beats-small",
        "At 8x, a trained network with weights of 4 bits is better than a smaller network.",
        "a network with an eighth of the weights, trained from the beginning for as many epochs altogether",
    ),
    _better(
        "low-rank-beats-filters",
        "At 4x, Tucker form is better than the removal of filters.",
        "the smallest filters removed, as many epochs after it",
    ),
    _better(
        "sharing-is-most-stable",
        "At 8x, sharing numbers costs less accuracy than low rank.",
        "Tucker form at the same rate and as many epochs after it",
        "Pruning and sharing keep accuracy stable (recalled from its discussion, wording not verified).",
    ),
    _better(
        "teacher-helps",
        "At 8x, a depthwise separable network learns more with the original as its teacher than without.",
        "the same network, trained on labels alone for as many epochs",
    ),
    Claim(
        id="families-combine",
        statement="A pruned network does not lose half a point when its weights also share 16 numbers a layer.",
        reported="Families complement each other and may be combined (abstract).",
        metric=POINTS,
        baseline="the network pruned to 80 % zeros, after as many epochs",
        direction="no lower",
        tolerance=0.5,
    ),
    Claim(
        id="families-combine-bytes",
        statement="A pruned network whose weights also share 16 numbers a layer takes less than half of the bytes.",
        reported="Families complement each other and may be combined (abstract); for the size we know no figure.",
        metric="bytes of the stored network",
        baseline="the network pruned to 80 % zeros",
        direction="lower",
        comparison="ratio",
        margin=0.5,
    ),
    _better(
        "transferred-filters-on-few-images",
        "On few images that come turned any way, filters that are shared over turns are better than plain ones.",
        "a plain network with as many weights, trained for as many epochs",
        "Transferred filters suit small data and invariances (recalled from its discussion, wording not verified).",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Setup(Settings):
    """The experiment's settings."""

    data: str = "fashion-mnist"
    images: int = bounded(2_000, ge=20)  # training images, a tenth of which validate
    test_images: int = bounded(2_000, ge=10)
    shrink: int = bounded(2, ge=1)  # pixels along a side of which the mean is taken
    widths: tuple[int, ...] = (16, 32, 64)  # channels, a pooling behind each
    hidden: int = bounded(64, ge=1)
    epochs: int = bounded(10, ge=1)  # of the network that all begin with
    further: int = bounded(3, ge=1)  # epochs of each way after it
    few: int = bounded(500, ge=10)  # images that come turned
    filters: int = bounded(12, ge=1)  # a layer, of the networks on those
    turned_epochs: int = bounded(15, ge=1)
    batch: int = bounded(64, ge=1)  # images of a step, and of a call that is timed
    seconds: float = bounded(2.0, gt=0.0)  # of timing


def experiment(setup: Setup, run: Run) -> Outcome:
    """Trains one network, and brings it to each rate in each way."""
    task = part_of(dataset(setup.data, seed=run.seed), setup, setup.images)
    network = convolutional(task, setup.widths, setup.hidden)
    first = run.compress("dense", network, task, method("dense"), _training(setup.epochs)).model

    def further(name: str, chosen: Method) -> Compressed:
        return run.compress(name, first, task, chosen, _training(setup.further))

    found = {"dense": further("dense, trained on", method("dense"))}
    for way in WAYS:
        for rate in RATES:
            found[f"{way}-{rate}x"] = further(f"{way} {rate}x", at_rate(way, rate))
    for rate in BITS:
        found[f"codebook-{rate}x"] = further(f"codebook {rate}x", at_rate("codebook", rate))
    found["crelu"] = further("crelu", method("crelu", at=0.0))
    taught = at_rate("depthwise-separable", 8).replace(teacher="original")
    found["taught"] = further("depthwise-separable 8x, taught", taught)
    for rate in (4, 8):
        small = convolutional(task, *narrowed(task, setup.widths, setup.hidden, rate))
        found[f"small-{rate}x"] = run.compress(
            f"small {rate}x", small, task, method("dense"), _training(setup.epochs + setup.further)
        )
    pruning = method("magnitude", sparsity=0.8, schedule=OneShot(at=0.0))
    found["pruned"] = further("pruned", pruning)
    found["both"] = run.compress(
        "pruned, 4 bits",
        found["pruned"].model,
        task,
        method("codebook", sparsity=1 - 4 / 32, at=0.0),
        _training(setup.further),
    )
    found["pruned"] = run.compress(
        "pruned, trained on",
        found["pruned"].model,
        task,
        method("magnitude", sparsity=0.8, schedule=OneShot(at=0.0)),
        _training(setup.further),
    )

    def points(name: str, other: str) -> Pair:
        return Pair(*(100.0 * found[which].quality["accuracy"] for which in (name, other)))

    table = [f"{way}-{rate}x" for way in WAYS for rate in RATES] + [f"codebook-{rate}x" for rate in BITS] + ["crelu"]
    times = timed(
        {name: found[name].model for name in ("dense", *(f"{way}-{TIMED}x" for way in LOW_RANK))}, task, setup
    )
    fastest = min(LOW_RANK, key=lambda way: times[f"{way}-{TIMED}x"])
    compression = found["dense"].cost.parameters / found[f"{fastest}-{TIMED}x"].cost.parameters
    turned = on_turned_images(setup, run)
    return {
        **{name: points(name, "dense") for name in table},
        **{f"{way}-faster": Pair(times[f"{way}-{TIMED}x"], times["dense"]) for way in LOW_RANK},
        "time-falls-by-less": Pair(times["dense"] / times[f"{fastest}-{TIMED}x"], compression),
        "training-first-beats-small": points("tucker-4x", "small-4x"),
        "sharing-beats-small": points("codebook-8x", "small-8x"),
        "low-rank-beats-filters": points("tucker-4x", "magnitude-filters-4x"),
        "sharing-is-most-stable": points("codebook-8x", "tucker-8x"),
        "teacher-helps": points("taught", "depthwise-separable-8x"),
        "families-combine": points("both", "pruned"),
        "families-combine-bytes": Pair(float(found["both"].cost.bytes), float(found["pruned"].cost.bytes)),
        "transferred-filters-on-few-images": turned,
    }


def at_rate(way: str, rate: int) -> Method:
    """Returns a method that brings a trained network to a rate at once, and trains it on."""
    if way == "magnitude-filters":
        return method(way, sparsity=1 - 1 / rate, schedule=OneShot(at=0.0))
    return method(way, sparsity=1 - 1 / rate, at=0.0)


def on_turned_images(setup: Setup, run: Run) -> Pair:
    """Compares filters shared over turns with as many plain ones on a few images that come turned any way."""
    whole = dataset(setup.data, seed=run.seed)
    task = part_of(whole, setup, setup.few, turned=torch.Generator().manual_seed(run.seed))
    accuracy = []
    for name in ("turned filters", "plain filters"):
        network = invariant(task, setup.filters, len(setup.widths), turned=name == "turned filters")
        result = run.compress(name, network, task, method("dense"), _training(setup.turned_epochs))
        accuracy.append(100.0 * result.quality["accuracy"])
    return Pair(*accuracy)


def timed(models: dict[str, nn.Module], task: Task, setup: Setup) -> dict[str, float]:
    """Returns the median time of a call of each network, in turns, in ms."""
    example = task.example()
    with torch.no_grad():
        calls: dict[str, Callable[[], object]] = {
            name: functools.partial(model.eval(), *example) for name, model in models.items()
        }
        return {name: timing.median_ms for name, timing in interleaved(calls, seconds=setup.seconds).items()}


def part_of(task: Task, setup: Setup, images: int, *, turned: torch.Generator | None = None) -> ImageClassification:
    """Returns the task on the first images of a task on images, each turned by quarters at random if asked to."""

    def some(split: Split, count: int) -> tuple[Tensor, Tensor]:
        x, y = (torch.cat(parts)[:count] for parts in zip(*task.batches(split), strict=True))
        x = F.avg_pool2d(x, setup.shrink)
        if turned is not None:
            quarters = torch.randint(4, (len(x),), generator=turned)
            x = torch.stack([torch.rot90(one, int(q), (1, 2)) for one, q in zip(x, quarters, strict=True)])
        return x, y

    classes = task.dimensions()["classes"]
    return ImageClassification(
        Images(*some("train", images), *some("test", setup.test_images), classes),
        batch_size=setup.batch,
        example_batch=setup.batch,
    )


def convolutional(task: Task, widths: tuple[int, ...], hidden: int) -> nn.Sequential:
    """Returns 3 × 3 convolutions with ReLU and pooling behind each, and two linear layers."""
    sizes = task.dimensions()
    layers: list[nn.Module] = []
    channels, side = sizes["in_channels"], sizes["image_size"]
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = width, side // 2
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(channels * side**2, hidden), nn.ReLU(), nn.Linear(hidden, sizes["classes"])
    )


def narrowed(task: Task, widths: tuple[int, ...], hidden: int, rate: int) -> tuple[tuple[int, ...], int]:
    """Returns widths scaled alike, so that the network has 1 / rate of the parameters, or just above."""

    def parameters(channels: tuple[int, ...], units: int) -> int:
        with torch.device("meta"):
            return sum(one.numel() for one in convolutional(task, channels, units).parameters())

    whole = parameters(widths, hidden)
    for scale in range(1, 101):
        sizes = tuple(max(1, round(width * scale / 100)) for width in (*widths, hidden))
        if parameters(sizes[:-1], sizes[-1]) >= whole / rate:
            return sizes[:-1], sizes[-1]
    return widths, hidden


def invariant(task: Task, filters: int, depth: int, *, turned: bool) -> nn.Sequential:
    """Returns convolutions with a mean over all places at the end; `turned` shares filters over quarter turns."""
    sizes = task.dimensions()
    layers: list[nn.Module] = []
    channels = sizes["in_channels"]
    for place in range(depth):
        if turned:
            layers += [TurnedConv2d(channels, filters), CyclicPool(4)]
        else:
            layers += [nn.Conv2d(channels, filters, 3, padding=1)]
        layers += [nn.ReLU(), *([nn.MaxPool2d(2)] if place + 1 < depth else [])]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, sizes["classes"]))


def _training(epochs: int) -> Training:
    return Training(epochs=epochs, optimizer=Adam(learning_rate=1e-3, weight_decay=0.0), patience=None, keep_best=False)


PAPER = register(
    Paper(
        id="cnn-compression-survey",
        title="A Survey of Model Compression and Acceleration for Deep Neural Networks",
        authors="Cheng, Wang, Zhou, Zhang",
        year=2017,
        arxiv="1710.09282",
        departures=(
            "The survey has no experiments; its general statements are tried on one small network and part of "
            "Fashion-MNIST, at half of its resolution in the small setting, where it names AlexNet, VGG and ResNet on "
            "ImageNet. Removed filters are zeroed, not cut, so the next layer keeps the weights that read them. "
            "Decomposition takes all layers that it can, linear ones by singular values in each case."
        ),
        claims=CLAIMS,
        scales={
            "smoke": Setup(
                data="digits",
                images=300,
                test_images=200,
                shrink=1,
                widths=(8, 16),
                hidden=16,
                epochs=1,
                further=1,
                few=100,
                filters=4,
                turned_epochs=1,
                seconds=0.05,
            ),
            "small": Setup(),
            "full": Setup(
                shrink=1,
                images=60_000,
                test_images=10_000,
                epochs=15,
                further=5,
                few=5_000,
                turned_epochs=30,
                seconds=10.0,
            ),
        },
        experiment=experiment,
    )
)
