"""Drops steps that nothing needs."""

from __future__ import annotations

from gossamer.deploy.engine.graph import Graph


def drop_dead(graph: Graph) -> None:
    """Drops every step whose results are neither read nor returned."""
    needed = {value.root for value in graph.outputs}
    kept = []
    for step in reversed(graph.steps):
        if any(output.root in needed for output in step.outputs):
            needed |= {value.root for value in step.inputs if value is not None}
            kept.append(step)
    graph.steps[:] = reversed(kept)
