"""A made-up but realistic run: seven methods, two sparsities, three seeds, one failed cell."""

from __future__ import annotations

from typing import Any

import numpy as np

LAYERS = (("convs.0.lin", 1433, 64), ("convs.1.lin", 64, 64), ("convs.2.lin", 64, 7))
METHODS = {
    "dense": (0.812, 0.0),
    "rigl": (0.808, 0.03),
    "magnitude": (0.805, 0.07),
    "magnitude[granularity=simd-blocks]": (0.801, 0.09),
    "gmp": (0.811, 0.04),
    "snip": (0.790, 0.12),
    "lottery": (0.809, 0.05),
    "set": (0.803, 0.06),
}


def run(
    *, methods: tuple[str, ...] = tuple(METHODS), seeds: tuple[int, ...] = (0, 1, 2), epochs: int = 60
) -> dict[str, Any]:
    cells = []
    for method in methods:
        for sparsity in [None] if method == "dense" else [0.5, 0.9, 0.98]:
            cells.extend(cell(method, sparsity, seed, epochs=epochs) for seed in seeds)
    if "lottery" in methods:
        broken = next(c for c in cells if c["method"] == "lottery" and c["sparsity"] == 0.98)
        broken |= {"status": "failed", "error": "loss is not a number at epoch 7; lower the learning rate"}
        broken["quality"] = {}
    return {
        "format": 1,
        "kind": "comparison",
        "data": "cora",
        "model": "gcn",
        "task": "node classification",
        "metric": "accuracy",
        "higher_is_better": True,
        "created": "2026-03-01T12:00:00+00:00",
        "gossamer": "0.1.0",
        "machine": {
            "processor": "Example 9000",
            "cores": 2,
            "threads": 2,
            "isa": "avx512",
            "memory_bytes": 16_000_000_000,
            "python": "3.11.7",
            "torch": "2.6.0",
            "platform": "Linux",
        },
        "training": {
            "epochs": epochs,
            "optimizer": {"name": "adam", "learning_rate": 0.01},
            "patience": None,
        },
        "cells": cells,
    }


def cell(method: str, sparsity: float | None, seed: int, *, epochs: int = 60) -> dict[str, Any]:
    top, slope = METHODS[method]
    random = np.random.default_rng([seed, len(method), int((sparsity or 0) * 100)])
    accuracy = float(top - slope * (sparsity or 0.0) ** 8 + random.normal(0, 0.004))
    layers = []
    for index, (name, rows, columns) in enumerate(LAYERS):
        size = rows * columns
        share = 0.0 if sparsity is None else min(0.999, sparsity * (1.02 - 0.08 * index))
        nonzeros = round(size * (1 - share))
        fast = share > 0.6 and index == 0
        layers.append(
            {
                "name": name,
                "kind": "Linear",
                "shape": [columns, rows],
                "parameters": size,
                "nonzeros": nonzeros,
                "sparsity": 1 - nonzeros / size,
                "kernel": ("simd-blocks" if "simd" in method else "csr") if fast else "dense",
                "engine": "blocks" if share else "dense",
                "reason": "fastest of 3 measured" if fast else "dense measured faster than every sparse kernel",
                "dense_ms": 1.2 / (index + 1),
                "kernel_ms": 1.2 / (index + 1) * (0.3 if fast else 1.0),
            }
        )
    parameters = sum(layer["parameters"] for layer in layers) + 135
    nonzeros = sum(layer["nonzeros"] for layer in layers) + 135
    curve = np.linspace(0, 1, epochs)
    validation = accuracy * (1 - np.exp(-6 * curve)) + random.normal(0, 0.004, epochs)
    speed = 0.35 if (sparsity or 0) > 0.6 else 1.02
    return {
        "id": f"{method}-{sparsity}-{seed}",
        "status": "done",
        "error": None,
        "method": method,
        "settings": [] if sparsity is None else [{"name": method.partition("[")[0], "sparsity": sparsity}],
        "sparsity": sparsity,
        "measured_sparsity": 1 - nonzeros / parameters,
        "seed": seed,
        "quality_before": {"accuracy": 0.812 + 0.001 * seed, "loss": 0.7},
        "quality": {"accuracy": accuracy, "loss": 0.75},
        "validation": {"accuracy": accuracy - 0.01},
        "cost_before": cost(parameters, parameters, 2.1 + 0.01 * seed),
        "cost": cost(parameters, nonzeros, (2.1 * speed if sparsity else 2.1) + float(random.normal(0, 0.03))),
        "layers": layers,
        "history": {
            "epoch": list(range(epochs)),
            "train_loss": [float(v) for v in 2 * np.exp(-4 * curve) + random.normal(0, 0.02, epochs)],
            "validation": {"accuracy": [float(v) for v in validation]},
            "seconds": 4.2,
            "best_epoch": epochs - 3,
        },
        "met_budget": None,
        "notes": [],
    }


def cost(parameters: int, nonzeros: int, latency: float) -> dict[str, Any]:
    return {
        "parameters": parameters,
        "nonzeros": nonzeros,
        "bytes": min(parameters * 4, parameters // 8 + nonzeros * 4),
        "macs": nonzeros * 2708,
        "training_macs": nonzeros * 2708.0 * 600,
        "latency_ms": latency,
        "latency_spread_ms": 0.05,
        "runs_on": "engine",
        "eager_latency_ms": 4 * latency,
        "peak_memory_bytes": None,
    }
