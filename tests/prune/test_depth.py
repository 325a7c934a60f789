"""Blocks are left out at a point of the training, and layers merge at its end."""

from __future__ import annotations

import pytest
import torch

import gossamer
from gossamer.compression import compress
from gossamer.prune.depth import DepthPruning
from gossamer.structure import Dissimilarity
from gossamer.structure.edits import Merged
from gossamer.train import Training
from tests.battery.networks import NETWORKS

MLP, TRANSFORMER = NETWORKS[0], NETWORKS[3]


def test_the_optimiser_forgets_what_is_left_out() -> None:
    task = TRANSFORMER.task()
    run = DepthPruning(sparsity=0.5, worth=Dissimilarity()).start(TRANSFORMER.model(), task, epochs=2)
    optimizer = torch.optim.Adam(run.model.parameters())
    costs = []
    for epoch in range(2):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(run.model, batch).backward()
            costs.append(run.training_cost())
            optimizer.step()
            run.after_step(optimizer)
    assert run.settled
    assert costs[:2] == [3.0, 3.0]
    assert costs[3] < 2.5
    kept = {id(parameter) for parameter in run.finish().parameters()}
    assert {id(parameter) for group in optimizer.param_groups for parameter in group["params"]} == kept
    assert sum(block["removed"] for block in run.report()["blocks"]) == 1


@pytest.mark.parametrize("name", ["drop-blocks", "merge-layers"])
def test_composes_with_pruning_of_weights(name: str) -> None:
    network = TRANSFORMER if name == "drop-blocks" else MLP
    result = compress(
        network.model(),
        network.task(),
        [gossamer.method(name, sparsity=0.9), gossamer.method("magnitude", sparsity=0.5)],
        training=Training(epochs=2, keep_best=False),
        accelerate=False,
        latency=False,
        progress=False,
    )
    assert result.cost.parameters < result.cost_before.parameters
    assert result.sparsity == pytest.approx(0.5, abs=0.01)
    assert any(isinstance(module, Merged) for module in result.model.modules()) == (name == "merge-layers")
