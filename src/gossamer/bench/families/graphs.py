"""The graph of the graph benchmarks: power-law degrees at both ends of every edge, nodes in random order."""

from __future__ import annotations

from gossamer.bench.case import Patience
from gossamer.graph import Graph, power_law

WIDTH = 128  # features


def graph(patience: Patience) -> Graph:
    """Returns the graph of the bars, 170,000 nodes and 2.3 million edges, or one of a tenth of its size."""
    return power_law(170_000, 2_300_000) if patience.full else power_law(17_000, 230_000)


def named(graph: Graph) -> str:
    """Returns the size in short: `170k nodes, 2.3M edges`."""
    edges = f"{graph.num_edges / 1e6:g}M" if graph.num_edges >= 1_000_000 else f"{graph.num_edges // 1000}k"
    return f"{graph.num_nodes // 1000}k nodes, {edges} edges"
