"""Asks for networks of 75, 50 and 25 % of the dense latency, and measures each again in a process of its own.

A trial initialises a network from its seed, lets `compress` search for the sparsity of SIMD blocks under
`latency<=X`, trains the result for an epoch on generated images of the data set's shape (latency depends on the zeros,
not on what the images show), saves it, and loads and times it in a fresh process. A network keeps its word if that
latency is at most 1.05 X; where the search says that X is out of reach, the trial is counted as such.

    python -m benchmarks.budgets --networks lenet resnet20 --batch 1 --trials 10
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gossamer.compression import compress, method
from gossamer.compression.compressed import Compressed
from gossamer.cost import Budget, measure
from gossamer.deploy import load, save
from gossamer.models import for_task
from gossamer.tasks import ImageClassification, Images
from gossamer.train import Training

SHAPES = {"lenet": (1, 28, 28), "resnet20": (3, 32, 32)}


def task(network: str, batch: int) -> ImageClassification:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(256, (320, *SHAPES[network]), dtype=torch.uint8, generator=draw)
    y = torch.randint(10, (320,), generator=draw)
    images = Images(train_x=x[:256], train_y=y[:256], test_x=x[256:], test_y=y[256:], classes=10)
    return ImageClassification(images, example_batch=batch)


def measured_afresh(result: Compressed, network: str, batch: int) -> float:
    """Returns the median latency, in milliseconds, of the saved network in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gossamer"
        save(file, result.deployed, plan=() if result.accelerated is None else result.accelerated.changes)
        command = [sys.executable, "-m", "benchmarks.budgets", "--measure", str(file), "--networks", network]
        done = subprocess.run([*command, "--batch", str(batch)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def trial(network: str, batch: int, epochs: int, bound_ms: float, seed: int) -> dict[str, object]:
    what = task(network, batch)
    torch.manual_seed(seed)
    model = for_task(network, what)
    start = time.perf_counter()
    result = compress(
        model,
        what,
        method("magnitude-simd"),
        training=Training(epochs=epochs),
        budget=Budget(latency_ms=bound_ms),
        seed=seed,
        progress=False,
    )
    seconds = time.perf_counter() - start
    return {
        "seed": seed,
        "met": result.met_budget,
        "sparsity": result.requested,
        "latency_ms": result.cost.latency_ms,
        "again_ms": measured_afresh(result, network, batch),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--parts", type=float, nargs="+", default=[0.75, 0.5, 0.25])
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--measure", type=Path, help="only time this saved network")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        example = task(options.networks[0], options.batch).example()
        print(measure(load(options.measure), example, repeats=100_000, seconds=1.0).latency_ms)
        return
    for network in options.networks:
        what = task(network, options.batch)
        torch.manual_seed(0)
        dense = measure(for_task(network, what).eval(), what.example(), repeats=100_000, seconds=2.0).latency_ms
        assert dense is not None
        for part in options.parts:
            seeds = range(options.first, options.first + options.trials)
            rows = [trial(network, options.batch, options.epochs, part * dense, seed) for seed in seeds]
            met = [row for row in rows if row["met"]]
            kept = [row for row in met if row["again_ms"] <= 1.05 * part * dense]
            middle = {key: statistics.median(row[key] for row in rows) for key in ("again_ms", "sparsity", "seconds")}
            print(
                f"{network} batch {options.batch}, X = {part:.0%} of {dense:.3f} ms: {len(met)} of {len(rows)} met,"
                f" {len(kept)} of them within 1.05 X when measured again; medians: {middle['again_ms'] / dense:.1%} of"
                f" dense, sparsity {middle['sparsity']:.3f}, {middle['seconds']:.0f} s a trial"
            )
            print(
                json.dumps({"network": network, "batch": options.batch, "part": part, "dense_ms": dense, "rows": rows})
            )


if __name__ == "__main__":
    main()
