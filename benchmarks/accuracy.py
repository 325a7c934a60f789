"""Trains the zoo's graph networks as their authors do, and prints test accuracy over seeds.

Cora is trained on its public split with a new initialisation for every seed; Coauthor CS on random splits of 20 nodes
a class for training and 30 for validation, a new one for every seed (Shchur et al., "Pitfalls of Graph Neural Network
Evaluation", 2018). Weights are those of the epoch with the best validation accuracy; test nodes decide nothing.

    GOSSAMER_DATA=... python -m benchmarks.accuracy --seeds 10
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from gossamer import models
from gossamer.tasks import datasets
from gossamer.train import Training, fit

RUNS = (("cora", "gcn"), ("cora", "gat"), ("coauthor-cs", "gcn"))


def test_accuracy(data: str, model_name: str, seed: int, overrides: dict[str, int]) -> float:
    torch.manual_seed(seed)
    task = datasets.task(data, seed=seed)
    model = models.for_task(model_name, task, **overrides)
    fit(model, task, Training.from_json(models.default_training(model_name)), seed=seed, progress=False)
    return task.evaluate(model, "test")[task.metric]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", nargs="+", default=[f"{data}:{model}" for data, model in RUNS])
    parser.add_argument("--hidden", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    overrides = {} if options.hidden is None else {"hidden": options.hidden}
    for run in options.runs:
        data, model = run.split(":")
        start = time.perf_counter()
        accuracies = [test_accuracy(data, model, seed, overrides) for seed in range(options.seeds)]
        mean = statistics.fmean(accuracies)
        spread = statistics.stdev(accuracies) if options.seeds > 1 else 0.0
        row = {
            "data": data,
            "model": model,
            "seeds": options.seeds,
            "mean": mean,
            "standard_deviation": spread,
            "accuracies": accuracies,
            "seconds_a_seed": (time.perf_counter() - start) / options.seeds,
        } | overrides
        print(json.dumps(row))
        print(f"# {data} {model}: {100 * mean:.2f} ± {100 * spread:.2f} % over {options.seeds} seeds")


if __name__ == "__main__":
    main()
