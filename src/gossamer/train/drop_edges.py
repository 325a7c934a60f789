"""DropEdge: leaves out random edges of the graph, others every epoch, while a network trains.

    A_drop = A − A′,  A′ the edges of p · |E| random links;  Â = (D + I)^-½ (A_drop + I) (D + I)^-½, D of A_drop

Rong, Huang, Xu & Huang, "DropEdge: towards deep graph convolutional networks on node classification", ICLR 2020,
section 4: one draw an epoch for all layers. Layers take degrees from the graph that they are called with, so what is
left is normalised anew. Both directions of an undirected edge go together; self loops stay. Nothing is left out
at validation and test.
"""

from __future__ import annotations

from gossamer.errors import SettingError
from gossamer.graph.sparsify import RandomEdges, sparsify
from gossamer.kernels.random import stream_key
from gossamer.tasks.task import Task


def thinned(task: Task, fraction: float, *, seed: int, epoch: int) -> Task:
    """Returns a task without a fraction of its edges; which depends on (seed, epoch) and nothing else.

    Args:
        task: On one graph or many; of each the same fraction goes.
        fraction: In [0, 1).
        seed: Of the training.
        epoch: From 0.

    Raises:
        SettingError: The task has no graph.
    """
    graphs = task.graphs()
    if not graphs:
        raise SettingError(
            f"drop_edges is {fraction:g}, but the task {task.name!r} has no graph; set it to 0 or take one on a graph"
        )
    keys = [stream_key(seed, epoch, number) >> 1 for number in range(len(graphs))]
    return task.on_graphs(
        [sparsify(graph, RandomEdges(), fraction, seed=key).graph for graph, key in zip(graphs, keys, strict=True)]
    )
