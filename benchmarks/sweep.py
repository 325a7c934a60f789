"""Kills a comparison of 60 cells ten times at random, and measures what a cell costs beyond its training.

The comparison is of five methods at two sparsities with six seeds, a GCN on digits-graph. It runs once undisturbed and
once in a process group that is killed ten times (SIGKILL) and started again; both must end with the same cells, times
aside. The overhead of a cell is what the comparison took beyond its training, were that spread over the workers, over
the cells: it holds starting the workers, importing, making tasks, evaluating, counting and writing. Choosing kernels
and taking times is a stage of its own and is shown apart.

    python -m benchmarks.sweep --workers 2
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gossamer.compression import compare, parse_methods
from gossamer.models import build, default_training
from gossamer.tasks import datasets
from gossamer.train import Training

METHODS = "magnitude,magnitude-simd,gradual,rigl,set"
SPARSITIES = (0.5, 0.9)
SEEDS = range(6)
CELLS = 60


def sweep(out: Path, *, workers: int, epochs: int, measured: bool) -> list[dict[str, Any]]:
    frontier = compare(
        functools.partial(build, "gcn", in_features=64, hidden=64, out_features=10),
        lambda seed: datasets.task("digits-graph", seed=seed),
        parse_methods(METHODS),
        sparsities=SPARSITIES,
        seeds=SEEDS,
        out=out,
        training=Training.from_json(default_training("gcn")).replace(epochs=epochs),
        workers=workers,
        threads=1,
        latency=measured,
        accelerate=measured,
        progress=False,
    )
    assert len(frontier.cells) == CELLS
    return list(frontier.cells)


def timeless(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns cells without times, and without the epoch that a sitting began in."""
    for cell in cells:
        del cell["seconds"]
        cell["history"] |= {"seconds": 0, "resumed_from": None}
    return cells


def killed(out: Path, options: argparse.Namespace, seconds: float) -> tuple[int, list[int]]:
    """Runs the sweep and kills it, each time at random within so many seconds from its first training.

    Returns how many kills came before the end, and the cells done at each.
    """
    draw = random.Random(options.seed)
    command = [sys.executable, "-m", "benchmarks.sweep", "--only", str(out), "--workers", str(options.workers)]
    command += ["--epochs", str(options.epochs)]
    done = []
    for _ in range(options.kills):
        before = trainings(out)
        running = subprocess.Popen(command, start_new_session=True)
        while running.poll() is None and trainings(out) == before:
            time.sleep(0.05)
        try:
            running.wait(draw.uniform(0.0, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        done.append(len(list(out.glob("cells/*/cell.json"))))
    subprocess.run(command, check=True)
    return sum(count < CELLS for count in done), done


def trainings(out: Path) -> int:
    """Returns how many trainings the logs tell of."""
    return sum(log.read_text().count(" train: ") for log in out.glob("cells/*/log.txt"))


def overhead(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        cells = sweep(Path(name), workers=options.workers, epochs=options.epochs, measured=False)
        wall = time.perf_counter() - begun
    training = sum(cell["history"]["seconds"] for cell in cells)
    inside = sum(cell["seconds"]["train"] for cell in cells)
    beyond = wall - training / options.workers
    print(f"{options.workers} workers: wall {wall:.1f} s, training {training:.1f} s, {training / CELLS:.3f} s a cell")
    print(f"overhead {beyond / CELLS:.3f} s a cell, {options.workers * beyond / CELLS:.3f} s of a worker's time")
    print(f"of that inside the cells {(inside - training) / CELLS:.3f} s of a worker's time")


def kills(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        straight, broken = Path(name) / "straight", Path(name) / "killed"
        begun = time.perf_counter()
        cells = timeless(sweep(straight, workers=options.workers, epochs=options.epochs, measured=False))
        wall = time.perf_counter() - begun
        hit, done = killed(broken, options, options.within or wall / 5)
        same = timeless(json.loads((broken / "run.json").read_text())["cells"]) == cells
        pairs = [(straight / "cells" / c["id"], broken / "cells" / c["id"]) for c in cells]
        files = all((a / "model.gossamer").read_bytes() == (b / "model.gossamer").read_bytes() for a, b in pairs)
        print(f"{hit} kills before the end; cells done after each: {done}")
        print(f"cells equal to the undisturbed run's: {same}; networks equal byte by byte: {files}")
        print(
            f"trainings begun: {trainings(broken)} for {CELLS} cells, at most {CELLS + options.workers * hit} allowed"
        )


def measuring(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        cells = sweep(Path(name), workers=options.workers, epochs=options.epochs, measured=True)
    print(
        f"choosing kernels and taking times: {sum(cell['seconds']['measure'] for cell in cells) / CELLS:.2f} s a cell"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--within", type=float, help="seconds from the first training in which a kill comes (default: a fifth of a run)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("overhead", "kills", "measuring"), help="one part alone")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)  # the sweep that is killed
    options = parser.parse_args()
    if options.only:
        sweep(options.only, workers=options.workers, epochs=options.epochs, measured=False)
        return
    for part in (overhead, kills, measuring):
        if options.part in (None, part.__name__):
            part(options)


if __name__ == "__main__":
    main()
