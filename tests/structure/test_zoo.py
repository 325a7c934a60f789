"""Networks of the zoo and of PyTorch Geometric lose half of their channels, and all that was asked for is removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import nn as pyg

from gossamer import models
from gossamer.graph.generate import power_law
from gossamer.structure import plan

NODES, WIDTH = 40, 12


def edges() -> Tensor:
    ring = torch.stack([torch.arange(NODES), (torch.arange(NODES) + 1) % NODES])
    return torch.cat([ring, torch.randint(NODES, (2, 80))], 1)


def hetero() -> nn.Module:
    inner = pyg.GraphSAGE((-1, -1), 16, 2, 5)
    network = pyg.to_hetero(inner, (["a", "b"], [("a", "to", "b"), ("b", "to", "a")])).eval()
    with torch.no_grad():
        network(*kinds())
    return network


def kinds() -> tuple[Any, ...]:
    both = edges()
    features = {"a": torch.randn(NODES, WIDTH), "b": torch.randn(NODES, 8)}
    return features, {("a", "to", "b"): both, ("b", "to", "a"): both.flip(0)}


CASES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    **{
        name: lambda name=name: (
            models.build(name, in_features=WIDTH, out_features=5, hidden=16),
            (torch.randn(NODES, WIDTH), power_law(NODES, 120, seed=0)),
        )
        for name in ("appnp", "gcn", "gin", "mlp", "sage")
    },
    "gat": lambda: (
        models.build("gat", in_features=WIDTH, out_features=5, hidden=16, heads=4),
        (torch.randn(NODES, WIDTH), power_law(NODES, 120, seed=0)),
    ),
    **{
        name: lambda name=name: (models.build(name, in_channels=3, classes=5), torch.randn(1, 3, 32, 32))
        for name in ("resnet20", "swin", "vit")
    },
    "pyg gcn": lambda: (pyg.GCN(WIDTH, 16, 3, 5, jk="cat", norm="batch"), (torch.randn(NODES, WIDTH), edges())),
    "pyg gat": lambda: (pyg.GAT(WIDTH, 16, 2, 5, heads=4), (torch.randn(NODES, WIDTH), edges())),
    "pyg edges": lambda: (pyg.EdgeCNN(WIDTH, 16, 2, 5), (torch.randn(NODES, WIDTH), edges())),
    "to_hetero": lambda: (hetero(), kinds()),
}


@pytest.mark.parametrize("name", CASES)
def test_loses_a_third_of_its_parameters_and_computes_the_same(name: str) -> None:
    network, example = CASES[name]()
    found = plan(network.eval(), example)
    assert not found.unknown
    assert found.difference is not None
    assert found.difference < 1e-4
    assert found.cost.parameters < 0.65 * found.cost_before.parameters
