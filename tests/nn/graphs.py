"""Small random graphs for the tests of layers, with isolated nodes, parallel edges and self loops."""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.graph import Graph

NODES = 23


def random_edges(seed: int = 0, *, nodes: int = NODES, edges: int = 90) -> Tensor:
    """Returns (2, edges); the last two nodes are isolated, some edges are self loops or occur twice."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, nodes - 2, (2, edges), generator=generator)


def simple_edges(seed: int = 0) -> Tensor:
    """Returns edges of which none occurs twice, self loops included."""
    return torch.unique(random_edges(seed), dim=1)


def random_graph(seed: int = 0, *, weighted: bool = False) -> Graph:
    """Returns a graph without parallel edges; `to_edge_index` and `weights` have the same order."""
    edges = simple_edges(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    weights = torch.rand(edges.shape[1], generator=generator) + 0.1 if weighted else None
    return Graph.from_edge_index(edges, NODES, weights)


def random_features(width: int, seed: int = 0, *, nodes: int = NODES) -> Tensor:
    """Returns (nodes, width), about two thirds zeros."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(nodes, width, generator=generator)
    return x * (torch.rand(nodes, width, generator=generator) < 0.35)


def randomize(module: torch.nn.Module, seed: int = 0) -> None:
    """Gives every parameter random numbers, so that no bias is tested at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
