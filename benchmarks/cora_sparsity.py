"""Prunes the first layer of a GCN on Cora to 90 %: sparse training against train-and-prune, at equal epochs.

For each seed (public split) a two-layer GCN is trained densely, trained and pruned by magnitude, and trained sparse
from the start by RigL, all with the same optimiser and number of epochs; each keeps its best weights on validation
among the epochs that have the final sparsity. The bar: both within 1.0 point of dense, and RigL's training arithmetic
at most a third of train-and-prune's. That arithmetic is counted in dense forward passes, in two ways.
`dense_features` takes the features as a full matrix, as the literature does. `as_run` counts what runs: Cora's
features are 1.3 % dense and multiplied as such, so the first layer is a smaller part of the whole and pruning it
saves less.

    GOSSAMER_DATA=... python -m benchmarks.cora_sparsity --seeds 10
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import statistics

import torch

from gossamer import models
from gossamer.compression import Method, method
from gossamer.graph import CSR
from gossamer.tasks import NodeClassification, datasets
from gossamer.train import Adam, Training, fit


def training_passes(chosen: Method, network: torch.nn.Module, task: NodeClassification, epochs: int) -> float:
    """Returns the cost of the whole training in dense forward passes, replayed without training anything."""
    run = chosen.start(copy.deepcopy(network), task, epochs=epochs)
    total = 0.0
    for _ in range(epochs * task.steps()):
        total += run.training_cost()
        run.after_step()
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    task = datasets.task("cora")
    features = task.graph.x
    dense_task = NodeClassification(
        dataclasses.replace(task.graph, x=features.to_dense() if isinstance(features, CSR) else features)
    )
    training = Training(epochs=options.epochs, optimizer=Adam(learning_rate=0.01, weight_decay=5e-4))
    pruned = {"sparsity": options.sparsity, "layers": ("convs.0.*",)}
    arms = {
        "dense": method("dense"),
        "train-and-prune": method("magnitude", **pruned),
        "rigl": method("rigl", **pruned),
    }
    scores: dict[str, dict[str, list[float]]] = {name: {"val": [], "test": []} for name in arms}
    for seed in range(options.seeds):
        for name, chosen in arms.items():
            torch.manual_seed(seed)
            network = models.for_task("gcn", task, hidden=options.hidden)
            run = chosen.start(network, task, epochs=options.epochs)
            fit(run.model, task, training, hooks=run, seed=seed, progress=False)
            small = run.finish()
            for split in ("val", "test"):
                scores[name][split].append(round(100.0 * task.evaluate(small, split)["accuracy"], 3))
    passes = {
        counted: {name: training_passes(chosen, network, on, options.epochs) for name, chosen in arms.items()}
        for counted, on in (("dense_features", dense_task), ("as_run", task))
    }

    for name in arms:
        gaps = [a - b for a, b in zip(scores[name]["test"], scores["dense"]["test"], strict=True)]
        row = {
            "method": name,
            "seeds": options.seeds,
            "test": scores[name]["test"],
            "val_mean": statistics.mean(scores[name]["val"]),
            "test_mean": statistics.mean(scores[name]["test"]),
            "test_deviation": statistics.stdev(scores[name]["test"]) if options.seeds > 1 else None,
            "points_to_dense": statistics.mean(gaps),
            "passes": {counted: totals[name] for counted, totals in passes.items()},
        }
        print(json.dumps(row))
        print(
            f"# {name}: test {row['test_mean']:.2f} ({row['points_to_dense']:+.2f} to dense), "
            f"passes a step {passes['dense_features'][name] / options.epochs:.3f} with dense features, "
            f"{passes['as_run'][name] / options.epochs:.3f} as run"
        )
    for counted, totals in passes.items():
        ratio = totals["rigl"] / totals["train-and-prune"]
        print(f"# training arithmetic, RigL / train-and-prune, {counted}: {ratio:.3f}")


if __name__ == "__main__":
    main()
