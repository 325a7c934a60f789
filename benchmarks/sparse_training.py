"""Trains a perceptron of four layers, 1024 wide, at 95 % sparsity: densely, masked, and holding its nonzeros only.

All arms take the same steps on the same images of Fashion-MNIST; sparse ones are RigL, of single weights and of blocks
of 16 outputs. Time: epochs of all arms in turns, one thread. Memory: by how much three steps raise the peak of a
process of its own, and what the network held before them; the images are not counted. Accuracy: of the stored and the
masked backend after as many epochs from the same weights, seed by seed. The bars: an epoch in at most a third of the
dense one's time, a quarter of its memory, accuracy equal within noise.

    GOSSAMER_DATA=... python -m benchmarks.sparse_training --seeds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import cache
from itertools import pairwise

import torch
from torch import nn

from gossamer.bench.case import Call
from gossamer.bench.memory import peak_bytes
from gossamer.compression import Compression, method
from gossamer.papers.slr import image_subset
from gossamer.tasks import ImageClassification
from gossamer.train import SGD, Training, fit

SPARSITY, WIDTH, IMAGES, BATCH = 0.95, 1024, 12_800, 256
ARMS = {
    "dense": method("dense"),
    "masked": method("rigl", sparsity=SPARSITY),
    "stored": method("rigl", sparsity=SPARSITY, backend="stored"),
    "masked blocks": method("rigl", sparsity=SPARSITY, granularity="simd-blocks"),
    "stored blocks": method("rigl", sparsity=SPARSITY, granularity="simd-blocks", backend="stored"),
}
TRAINING = Training(optimizer=SGD(learning_rate=0.05, momentum=0.9, weight_decay=0.0), patience=None, keep_best=False)


@cache
def task() -> ImageClassification:
    return image_subset("fashion-mnist", IMAGES, seed=0, batch_size=BATCH)


def perceptron() -> nn.Module:
    widths = [784, *[WIDTH] * 3, 10]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def started(arm: str, epochs: int, seed: int = 0) -> Compression:
    torch.manual_seed(seed)
    return ARMS[arm].start(perceptron(), task(), epochs=epochs)


def steps(run: Compression, count: int | None = None) -> None:
    """Takes the steps of an epoch, or the first `count` of them, as `fit` does."""
    optimizer = torch.optim.SGD(run.model.parameters(), lr=0.05, momentum=0.9)
    for place, batch in enumerate(task().batches("train", epoch=0)):
        if place == count:
            return
        optimizer.zero_grad()
        task().loss(run.model, batch).backward()
        run.after_backward()
        optimizer.step()
        run.after_step(optimizer)


def three_steps(arm: str) -> Call:
    steps(
        started("stored" if arm == "dense" else "dense", 1), 1
    )  # what the first step of anything needs is there before
    run = started(arm, 1)

    def work() -> int:
        steps(run, 3)
        return sum(held.nbytes for held in (*run.model.parameters(), *run.model.buffers()))

    return work


def seconds_an_epoch(rounds: int) -> dict[str, list[float]]:
    runs = {arm: started(arm, rounds + 1) for arm in ARMS}
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for number in range(rounds + 1):
        for arm, run in runs.items():
            start = time.perf_counter()
            steps(run)
            if number:  # the first warms up
                found[arm].append(time.perf_counter() - start)
    return found


def accuracies(seeds: int, epochs: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        for arm in ARMS:
            run = started(arm, epochs, seed)
            fit(run.model, task(), TRAINING.replace(epochs=epochs), hooks=run, seed=seed, progress=False)
            found[arm].append(round(100.0 * task().evaluate(run.finish(), "test")["accuracy"], 2))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ["time", "memory", "accuracy"]
    parser.add_argument("--part", choices=parts, nargs="+", default=parts)
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each arm that are timed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of each training whose accuracy is compared")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "time" in options.part:
        times = seconds_an_epoch(options.rounds)
        for arm in ARMS:
            ratios = [one / dense for one, dense in zip(times[arm], times["dense"], strict=True)]
            print(
                f"# {arm}: epoch {statistics.median(times[arm]):.2f} s, {statistics.median(ratios):.3f} of dense "
                f"({min(ratios):.3f} to {max(ratios):.3f})"
            )
    if "memory" in options.part:
        bytes_of = {arm: peak_bytes("benchmarks.sparse_training:three_steps", arm) for arm in ARMS}
        dense = bytes_of["dense"] or 0
        for arm, count in bytes_of.items():
            print(f"# {arm}: {(count or 0) / 1e6:.1f} MB, {(count or 0) / max(dense, 1):.3f} of dense")
    if "accuracy" in options.part:
        scores = accuracies(options.seeds, options.epochs)
        print(json.dumps(scores))
        for kind in ("", " blocks"):
            gaps = [a - b for a, b in zip(scores[f"stored{kind}"], scores[f"masked{kind}"], strict=True)]
            deviation = statistics.stdev(gaps) if len(gaps) > 1 else 0.0
            print(f"# stored{kind} less masked{kind}: {statistics.mean(gaps):+.2f} ± {deviation:.2f} points")


if __name__ == "__main__":
    main()
