"""Every network of this library's zoo, and the hard patterns of others written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import gossamer
from gossamer import models

Case = Callable[[], tuple[nn.Module, Any]]


def cases() -> dict[str, Case]:
    """Returns a factory of (network, example) for each network of the zoo."""
    return {f"zoo/{name}": _factory(name) for name in models.names()}


def _factory(name: str) -> Case:
    def make() -> tuple[nn.Module, Any]:
        entry = models.zoo._ZOO[name]
        graph = gossamer.graph.power_law(60, 300, seed=0)
        if "in_features" in entry.parameters():
            options = {"heads": 4} if "heads" in entry.parameters() else {}
            return models.build(name, in_features=16, out_features=5, **options), (torch.randn(60, 16), graph)
        wide = "in_channels" in entry.parameters()
        size = 28 if name == "lenet" else 32
        network = models.build(name, **({"in_channels": 3} if wide else {}), classes=5)
        return network, (torch.randn(2, 3 if wide else 1, size, size),)

    return make
