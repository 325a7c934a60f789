"""Passes over the engine's graph, each of which returns the graph with fewer steps that compute the same."""

from gossamer.deploy.engine.graph import Graph
from gossamer.deploy.engine.passes.blocks import use_blocks
from gossamer.deploy.engine.passes.dead import drop_dead
from gossamer.deploy.engine.passes.epilogues import fuse_epilogues
from gossamer.deploy.engine.passes.layouts import choose_layouts
from gossamer.deploy.engine.passes.programs import fuse_programs

__all__ = ["choose_layouts", "drop_dead", "fuse_epilogues", "fuse_programs", "simplify", "use_blocks"]


def simplify(graph: Graph) -> Graph:
    """Runs all passes, in the order in which they find most."""
    drop_dead(graph)
    fuse_epilogues(graph)
    fuse_programs(graph)
    return graph
