"""Asks for networks of 75, 50 and 25 % of the dense latency, and measures each again in a fresh process.

A trial initialises a network from its seed, lets `compress` turn the method's knob under `latency<=X`, trains the
result for an epoch on a few real images (generated ones without the data sets), and saves it. Then fresh processes load
the saved networks, a few in each, and time them as they are deployed. A network keeps its word if that latency is at
most 1.05 X; where the search says that X is out of reach, the trial counts as such. Every trial is a file in the output
folder and is not made again, so that the command may be stopped and given again; with `--seconds` it stops by itself,
between two trials.

    python -m benchmarks.budgets --networks lenet resnet20 --batch 1 --trials 10 --out results --seconds 280
    python -m benchmarks.budgets --out results --table
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from gossamer.compression import compress, method
from gossamer.cost import Budget
from gossamer.deploy import deployment, load, measure_deployed
from gossamer.errors import GossamerError
from gossamer.files import read_json, write_json
from gossamer.models import for_task
from gossamer.tasks import ImageClassification, Images, datasets
from gossamer.train import Training

SHAPES = {"lenet": (1, 28, 28), "resnet20": (3, 32, 32)}
DATA = {"lenet": "fashion-mnist", "resnet20": "cifar10"}
METHODS = {"lenet": "channels", "resnet20": "magnitude-simd"}  # whose knob reaches furthest down in latency
SLACK = 1.05
_TRAIN, _TEST = 256, 64  # images
_TOGETHER = 5  # networks that one fresh process measures


def images(network: str, out: Path) -> Images:
    """Returns a few images of the network's data set, kept in the output folder; generated ones without it."""
    path = out / f"{DATA[network]}.pt"
    if not path.exists():
        try:
            whole = datasets.read(DATA[network])
        except GossamerError as error:
            print(f"generated images instead of {DATA[network]}: {error}", file=sys.stderr)
            return generated(network)
        assert isinstance(whole, Images)
        some = whole.train_x[:_TRAIN], whole.train_y[:_TRAIN], whole.test_x[:_TEST], whole.test_y[:_TEST]
        out.mkdir(parents=True, exist_ok=True)
        torch.save([one.clone() for one in some], path)
    return Images(*torch.load(path), classes=10)


def generated(network: str) -> Images:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(256, (_TRAIN + _TEST, *SHAPES[network]), dtype=torch.uint8, generator=draw)
    y = torch.randint(10, (len(x),), generator=draw)
    return Images(train_x=x[:_TRAIN], train_y=y[:_TRAIN], test_x=x[_TRAIN:], test_y=y[_TRAIN:], classes=10)


def task(network: str, batch: int, out: Path) -> ImageClassification:
    """Returns the task, the same images in every process: how long max pooling takes depends on what they show."""
    return ImageClassification(images(network, out), example_batch=batch)


def timed(model: torch.nn.Module, what: ImageClassification) -> dict[str, Any]:
    """Returns the latency of a network as it is deployed, in milliseconds, and what it runs on."""
    example = what.example()
    cost = measure_deployed(model, example, deployment(model, example, accelerate=False), beside=False)
    return {"latency_ms": cost.latency_ms, "runs_on": cost.runs_on}


def trial(what: ImageClassification, folder: Path, *, network: str, bound_ms: float, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    start = time.perf_counter()
    result = compress(
        for_task(network, what),
        what,
        method(METHODS[network]),
        training=Training(epochs=1),
        budget=Budget(latency_ms=bound_ms),
        seed=seed,
        progress=False,
    )
    result.save(folder / "model.gossamer")
    return {
        "seed": seed,
        "bound_ms": bound_ms,
        "met": result.met_budget,
        "sparsity": result.requested,
        "latency_ms": result.cost.latency_ms,
        "runs_on": result.cost.runs_on,
        "eager_latency_ms": result.cost.eager_latency_ms,
        "seconds": time.perf_counter() - start,
    }


def remeasure(out: Path, folders: list[Path], network: str, batch: int) -> None:
    """Times saved networks in a process of their own, which adds what it finds to their records."""
    for first in range(0, len(folders), _TOGETHER):
        some = [str(folder) for folder in folders[first : first + _TOGETHER]]
        command = [sys.executable, "-m", "benchmarks.budgets", "--out", str(out), "--networks", network]
        subprocess.run([*command, "--batch", str(batch), "--measure", *some], check=True)


def measure_here(folders: list[Path], what: ImageClassification) -> None:
    for folder in folders:
        found = timed(load(folder / "model.gossamer"), what)
        record = read_json(folder / "trial.json")
        write_json(folder / "trial.json", {**record, "again_ms": found["latency_ms"], "again_on": found["runs_on"]})


def dense(out: Path, network: str, batch: int) -> float:
    """Returns the dense network's latency, in milliseconds, measured once."""
    path = out / f"{network}-{batch}" / "dense.json"
    if not path.exists():
        torch.manual_seed(0)
        what = task(network, batch, out)
        write_json(path, timed(for_task(network, what).eval(), what))
    return float(read_json(path)["latency_ms"])


def run(options: argparse.Namespace) -> None:
    """Makes the trials that are missing: every setting's first, then every setting's second, and so on."""
    end = time.perf_counter() + options.seconds
    out: Path = options.out
    longest = 0.0
    for network in options.networks:
        for seed in range(options.trials):
            for part in options.parts:
                begun = time.perf_counter()
                folder = out / f"{network}-{options.batch}" / f"{part:g}" / str(seed)
                if (folder / "trial.json").exists():
                    continue
                if begun + longest > end:
                    return
                folder.mkdir(parents=True, exist_ok=True)
                bound = part * dense(out, network, options.batch)
                what = task(network, options.batch, out)
                record = trial(what, folder, network=network, bound_ms=bound, seed=seed)
                write_json(folder / "trial.json", record)
                print(json.dumps({"network": network, "part": part, **record}), flush=True)
                longest = max(longest, time.perf_counter() - begun)


def again(options: argparse.Namespace) -> None:
    """Measures afresh what was not yet."""
    for network in options.networks:
        found = sorted((options.out / f"{network}-{options.batch}").glob("*/*/trial.json"))
        missing = [path.parent for path in found if "again_ms" not in read_json(path)]
        remeasure(options.out, missing, network, options.batch)


def table(out: Path) -> None:
    """Prints one line a setting."""
    for setting in sorted(path for path in out.glob("*-*/*") if path.is_dir()):
        rows = [row for path in sorted(setting.glob("*/trial.json")) if "again_ms" in (row := read_json(path))]
        if not rows:
            continue
        network, _, batch = setting.parent.name.rpartition("-")
        whole = float(read_json(setting.parent / "dense.json")["latency_ms"])
        bound = float(setting.name) * whole
        kept = sum(row["again_ms"] <= SLACK * bound for row in rows)
        met = sum(row["met"] for row in rows)
        middle = {key: statistics.median(row[key] for row in rows) for key in ("again_ms", "sparsity", "seconds")}
        worst = max(row["again_ms"] for row in rows) / bound
        print(
            f"{network} batch {batch}, X = {float(setting.name):.0%} of {whole:.4f} ms: {kept} of {len(rows)} within "
            f"{SLACK} X when measured again, {met} met by the search; median {middle['again_ms'] / bound:.3f} X, "
            f"largest {worst:.3f} X, {METHODS[network]} {middle['sparsity']:.3f}, {middle['seconds']:.0f} s a trial"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--parts", type=float, nargs="+", default=[0.75, 0.5, 0.25])
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("budgets"), help="folder of the trials")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no trial that would not be over by then")
    parser.add_argument("--again", action="store_true", help="only measure finished trials once more, afresh")
    parser.add_argument("--table", action="store_true", help="only print what the folder holds")
    parser.add_argument("--measure", type=Path, nargs="+", help="only time these folders' networks, in this process")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        measure_here(options.measure, task(options.networks[0], options.batch, options.out))
    elif options.table:
        table(options.out)
    else:
        if not options.again:
            run(options)
        again(options)
        table(options.out)


if __name__ == "__main__":
    main()
