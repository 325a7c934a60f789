"""Trains networks on vectors of walks in time dense, sparse from the start, and by train-and-prune, at equal epochs.

Links (collegemsg, email-eu, infectious; 90 % of the weights removed): the bar is that sparse training is within 1.0
point of the area under the ROC curve, on average over seeds, of the dense network and of train-and-prune, at a third or
less of train-and-prune's training arithmetic. Nodes (the sets with labels, and a generated graph of communities of the
size of the literature's brain; 96 %): better than train-and-prune at a seventh or less. Splits are free of leaks, all
arms of a seed start from the same weights, differences are paired. Visitors of the museum (infectious) come once, for
an hour or so: of the events of the last fifth, none is between nodes that were met before, and no vector says anything
of them. Of the last fifth of each day that is still so for 95 %; so there each hour is split by itself (`span`), of
whose last fifth it is so for 6 %, and an event is set against pairs of its own hour.

Train-and-prune is `slr`, as in the paper. `one-shot` removes the smallest weights after three quarters of the epochs.
It is no opponent on the small sets of nodes: what is left for retraining there is some fifty steps at the low end of a
cosine schedule, in which it does not recover from the cut, so that a lead over it says nothing of sparse training.
The rescaled arms begin with weights of the variance that a dense layer has; that was chosen on the validation split of
a seed outside these, for sparse training only: `slr` runs with its defaults.

    GOSSAMER_DATA=... python -m benchmarks.temporal --seeds 5 --out temporal.jsonl

Each seed of each arm is a line of the file, and what is there already is not run again. Prints the table at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gossamer.compression import Method, compress, method
from gossamer.graph import community_events
from gossamer.models import for_task
from gossamer.prune.schedules import OneShot
from gossamer.tasks import Task, TemporalNode, datasets
from gossamer.train import SGD, Adam, Cosine, Training

LINKS = ("collegemsg", "email-eu", "infectious")
NODES = ("highschool-2011", "highschool-2012", "coauthors")
SPANS = {"infectious": {"span": 3_600.0}}
DENSE_SHARE = 0.75


def arms(kind: str, sparsity: float, every: int) -> dict[str, Method]:
    """Returns the methods that are compared; sparse ones move every so many steps."""
    return {
        "dense": method("dense"),
        "one-shot": method("magnitude", schedule=OneShot(at=DENSE_SHARE), sparsity=sparsity),
        "slr": method("slr", sparsity=sparsity),
        "rigl": method("rigl", every=every, sparsity=sparsity),
        "set": method("set", every=every, sparsity=sparsity),
        "rigl-rescaled": method("rigl", every=every, sparsity=sparsity, begin="rescaled"),
        "set-rescaled": method("set", every=every, sparsity=sparsity, begin="rescaled"),
    }


def tasks(brain_nodes: int, brain_events: int) -> dict[str, tuple[str, Callable[[int], Task]]]:
    """Returns kind and maker of each task by name."""
    found: dict[str, tuple[str, Callable[[int], Task]]] = {name: ("link", partial(link, name)) for name in LINKS}
    for name in NODES:
        found[name] = ("node", lambda seed, name=name: datasets.task(name, seed=seed))  # type: ignore[misc]
    found["communities"] = (
        "node",
        lambda seed: TemporalNode(
            community_events(brain_nodes, brain_events, contrast=8.0, seed=seed),
            batch_size=64,
            seed=seed,
            name="communities",
        ),
    )
    return found


def link(name: str, seed: int) -> Task:
    """Returns the task of predicting a stream's events."""
    return datasets.task(name, kind="temporal-link", seed=seed, **SPANS.get(name, {}))


def training(kind: str) -> Training:
    """Returns how all arms train: the optimisers of the paper's code for sparse training."""
    if kind == "link":
        return Training(
            epochs=20,
            optimizer=SGD(learning_rate=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
            schedule=Cosine(),
        )
    return Training(epochs=40, optimizer=Adam(learning_rate=0.004, weight_decay=1e-3), schedule=Cosine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("temporal.jsonl"))
    parser.add_argument("--data", nargs="*", help="names of the tasks; all by default")
    parser.add_argument("--brain-nodes", type=int, default=5000)
    parser.add_argument("--brain-events", type=int, default=2_000_000)
    parser.add_argument("--link-sparsity", type=float, default=0.9)
    parser.add_argument("--node-sparsity", type=float, default=0.96)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.is_file() else []
    done = {(row["data"], row["arm"], row["seed"], row["sparsity"]) for row in rows}
    for name, (kind, make) in tasks(options.brain_nodes, options.brain_events).items():
        if options.data and name not in options.data:
            continue
        sparsity = options.link_sparsity if kind == "link" else options.node_sparsity
        for seed in range(options.seeds):
            missing = [arm for arm in arms(kind, sparsity, 1) if (name, arm, seed, sparsity) not in done]
            if not missing:
                continue
            begin = time.perf_counter()
            task = make(seed)
            making = time.perf_counter() - begin
            chosen = training(kind)
            every = max(1, min(500 if kind == "link" else 100, chosen.epochs * task.steps() // 20))
            for arm in missing:
                torch.manual_seed(seed)
                network = for_task("fnn" if kind == "link" else "fnn-node", task)
                run = compress(
                    network,
                    task,
                    arms(kind, sparsity, every)[arm],
                    training=chosen,
                    seed=seed,
                    progress=False,
                    accelerate=False,
                    latency=False,
                )
                row: dict[str, Any] = {
                    "data": name,
                    "kind": kind,
                    "arm": arm,
                    "seed": seed,
                    "sparsity": sparsity,
                    "quality": {key: round(value, 5) for key, value in run.quality.items()},
                    "macs": run.cost.training_macs,
                    "making_s": round(making, 2),
                }
                rows.append(row)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    report(rows)


def report(rows: list[dict[str, Any]]) -> None:
    """Prints mean quality in points, paired differences, and the share of the arithmetic, for each task and arm."""
    for name in dict.fromkeys(row["data"] for row in rows):
        mine = [row for row in rows if row["data"] == name]
        metric = "auroc" if mine[0]["kind"] == "link" else "accuracy"
        points = {
            arm: {row["seed"]: 100 * row["quality"][metric] for row in mine if row["arm"] == arm}
            for arm in dict.fromkeys(row["arm"] for row in mine)
        }
        macs = {arm: statistics.fmean(row["macs"] or 0.0 for row in mine if row["arm"] == arm) for arm in points}
        print(f"# {name}: {metric} of the test in points, {len(points['dense'])} seeds")
        for arm, found in points.items():
            parts = [f"{statistics.fmean(found.values()):6.2f}"]
            for other in ("dense", "slr", "one-shot"):
                seeds = sorted(set(found) & set(points.get(other, {})))
                gaps = [found[seed] - points[other][seed] for seed in seeds]
                if arm != other and gaps:
                    spread = statistics.stdev(gaps) if len(gaps) > 1 else float("nan")
                    ratio = macs[arm] / macs[other] if macs[other] else float("nan")
                    parts.append(f"to {other} {statistics.fmean(gaps):+.2f} ± {spread:.2f}, arithmetic {ratio:.3f}")
            print(f"#   {arm:16s} {'; '.join(parts)}")


if __name__ == "__main__":
    main()
