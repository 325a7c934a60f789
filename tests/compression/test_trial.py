"""What a network costs is known before it is trained."""

from __future__ import annotations

import torch
from torch import nn

import gossamer
from gossamer.compression.compress import compress
from gossamer.compression.trial import untrained
from gossamer.cost import Budget
from gossamer.tasks import datasets
from gossamer.train import Training


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)).apply(
        lambda layer: nn.init.zeros_(layer.bias) if isinstance(layer, nn.Linear) else None
    )


def test_biases_and_statistics_that_start_at_zero_are_counted() -> None:
    task = datasets.task("digits")
    method = gossamer.method("magnitude", sparsity=0.9)
    trial = untrained(network(), task, (), Budget(bytes=1e9), accelerate=False)(method)
    trained = compress(
        network(), task, method, training=Training(epochs=2), accelerate=False, latency=False, progress=False
    )
    assert trained.cost.nonzeros <= trial.nonzeros
    assert abs(trained.cost.bytes - trial.bytes) <= 0.02 * trial.bytes  # the places of zeros differ


def test_a_budget_of_bytes_is_met_by_the_trained_network() -> None:
    small = compress(
        network(),
        datasets.task("digits"),
        gossamer.method("magnitude"),
        budget=Budget(bytes=2500),
        training=Training(epochs=2),
        accelerate=False,
        progress=False,
    )
    assert small.met_budget
    assert small.cost.bytes > 2200
