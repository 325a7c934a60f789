"""Masks on the edges of a task's graphs that training can move, and the task that computes with them.

    A is replaced by A ⊙ m,  one number m a link: an edge, or both directions of an undirected one; self loops have none

A network sees the masked graph in its place. With a `Graph`, the mask multiplies the edges' weights, before whatever
normalisation its layers make. A network that is called with an edge_index gets the weights as its own `edge_weight` if
it takes one; else each of its graph layers gets them: this library's as a graph, PyG's as their `edge_weight`, and
those of PyG's that take none (SAGE, GIN, attention) have their messages multiplied, as PyG's own explainers do.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gossamer import nn as layers
from gossamer.counting import evaluating
from gossamer.errors import ModelError
from gossamer.graph import CSR, Graph, Links
from gossamer.graph.sparsify.sparsifier import isolated
from gossamer.tasks.task import Split, Task

_LINK = "gossamer.link"  # in edge_data: the link of each edge, counted on over all graphs; -1 for self loops
_OURS = (layers.GCNConv, layers.SAGEConv, layers.GINConv, layers.GATConv, layers.APPNP)


class EdgeMasks:
    """The masks of a task's graphs, and which of their links are still there.

    Args:
        task: Has a graph.

    Attributes:
        values: (L,) float32, the masks of the links of all graphs, one graph after the other; a leaf of autograd.
        keep: (L,) booleans, the links that have not been removed.
        counts: How many links each graph has.
        learning: Whether networks compute with the masks; if not, with the edges that stay as they are.
        edge_index: Whether the task calls its network with an edge_index.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._links = [Links.of(graph) for graph in task.graphs()]
        self.counts = [len(links) for links in self._links]
        self.keep = torch.ones(sum(self.counts), dtype=torch.bool)
        self.values = torch.ones(sum(self.counts), requires_grad=True)
        self.learning = True
        self.edge_index = not any(isinstance(argument, Graph) for argument in task.example())
        self._inner: dict[tuple[bool, str], Task] = {}

    def set(self, values: Tensor) -> None:
        """Takes masks, (L,)."""
        self.values = values.detach().clone().requires_grad_()

    def remove(self, keep: Tensor) -> None:
        """Takes which links stay, (L,) booleans."""
        self.keep = keep.clone()
        self._inner.clear()

    def kept(self) -> list[Tensor]:
        """Returns (E,) booleans for each graph: the edges that are still there."""
        return [links.edges(keep) for links, keep in self._each()]

    def isolated(self) -> int:
        """Returns how many nodes have lost their last edge."""
        return sum(isolated(links, keep) for links, keep in self._each())

    def remaining(self) -> Task:
        """Returns the task on the edges that are still there, without masks."""
        graphs = zip(self._task.graphs(), self.kept(), strict=True)
        return self._task.on_graphs([graph.with_edges(keep) for graph, keep in graphs])

    def inner(self, device: torch.device) -> Task:
        """Returns what a `MaskedTask` does its work with: a task whose graphs know their links, or `remaining`."""
        key = (self.learning, str(device))
        if key not in self._inner:
            self._inner[key] = (self._marked() if self.learning else self.remaining()).to(device)
        return self._inner[key]

    def weigh(self, graph: Graph) -> Graph:
        """Returns a graph of the marked task, or a part of one, with the masks as weights."""
        link = graph.edge_data[_LINK]
        values = torch.cat([self.values, self.values.new_ones(1)]).to(link.device)[link]  # the last is that of -1
        if graph.weights is not None:
            values = values * graph.weights
        if not values.requires_grad:  # at validation: layers tell by it that these weights are masks
            values.requires_grad_()
        known = {name: value for name, value in graph.edge_data.items() if name != _LINK}
        return dataclasses.replace(graph, adjacency=graph.adjacency.with_values(values), edge_data=known)

    def _each(self) -> Iterator[tuple[Links, Tensor]]:
        """Yields the links of each graph, and which of them stay."""
        for links, keep in zip(self._links, torch.split(self.keep, self.counts), strict=True):
            yield links, keep.to(links.source.device)

    def _marked(self) -> Task:
        """Returns the task on the edges that are still there, each with the number of its link."""
        marked, first = [], 0
        for graph, links, keep in zip(self._task.graphs(), self._links, self.kept(), strict=True):
            link = torch.where(links.of_edge < 0, -1, links.of_edge + first)
            marked.append(dataclasses.replace(graph, edge_data={**graph.edge_data, _LINK: link}).with_edges(keep))
            first += len(links)
        return self._task.on_graphs(marked, as_graph=True)


class MaskedTask(Task):
    """A task whose networks compute with masks on the edges, as the masks then are.

    Args:
        task: The task that the masks were made for.
        masks: Shared with whoever moves them.
    """

    def __init__(self, task: Task, masks: EdgeMasks) -> None:
        self.name, self.metric, self.higher_is_better = task.name, task.metric, task.higher_is_better
        self._steps, self._examples, self._dimensions = task.steps(), task.examples_per_step(), task.dimensions()
        self.masks = masks
        self._device = task.graphs()[0].device
        self._thinned: Task | None = None  # where some edges are left out for a while

    def steps(self) -> int:
        """Returns what the task returns."""
        return self._steps

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        """Yields the task's batches, whose graphs know their links."""
        yield from self._inner().batches(split, seed=seed, epoch=epoch)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns the task's loss of a network on masked graphs; gradients reach the masks."""
        return self._inner().loss(self._seeing(model), batch)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the task's metrics of a network on masked graphs."""
        return self._inner().evaluate(self._seeing(model), split)

    def example(self) -> tuple[Any, ...]:
        """Returns what the network is called with on the edges that are still there."""
        return self.masks.remaining().example()

    def examples_per_step(self) -> float:
        """Returns what the task returns."""
        return self._examples

    def dimensions(self) -> dict[str, int]:
        """Returns what the task returns."""
        return self._dimensions

    def graphs(self) -> tuple[Graph, ...]:
        """Returns the graphs with the edges that are still there."""
        return self._inner().graphs()

    def _on_graphs(self, graphs: Sequence[Graph], *, as_graph: bool) -> Self:
        """Returns this task with other edges."""
        other = copy.copy(self)
        other._thinned = self._inner().on_graphs(graphs, as_graph=as_graph)
        return other

    def to(self, device: torch.device | str) -> Self:
        """Returns this task on `device`; the masks stay where they are."""
        other = copy.copy(self)
        other._device = torch.device(device)
        return other

    def _inner(self) -> Task:
        return self._thinned or self.masks.inner(self._device)

    def _seeing(self, model: nn.Module) -> nn.Module:
        return _Masked(model, self.masks) if self.masks.learning else model


def require_edges_seen(method: str, model: nn.Module, task: MaskedTask) -> None:
    """Raises ModelError, in the name of a method, for a network whose loss does not depend on the masks."""
    with evaluating(model), torch.random.fork_rng(devices=[]):
        loss = task.loss(model, next(task.batches("train")))
    if torch.autograd.grad(loss, [task.masks.values], allow_unused=True)[0] is None:
        raise ModelError(
            f"{method}: the loss of {type(model).__name__} does not depend on the weights of its edges, so no mask can "
            "be learned; use graph layers of gossamer or PyG, or take edge_weight in forward"
        )


class _Masked(nn.Module):
    """A network that is called with marked graphs and sees masked ones."""

    def __init__(self, network: nn.Module, masks: EdgeMasks) -> None:
        super().__init__()
        self.network = network
        self._masks = masks

    def forward(self, x: Any, graph: Graph, *rest: Any) -> Any:
        """Calls the network as its task does, on masked edges."""
        masked = self._masks.weigh(graph)
        if not self._masks.edge_index:
            return self.network(x, masked, *rest)
        x = x.to_dense() if isinstance(x, CSR) else x
        edges = masked.to_edge_index()
        if "edge_weight" in inspect.signature(self.network.forward).parameters:
            return self.network(x, edges, *rest, edge_weight=masked.weights)
        if graph.weights is not None and not rest:  # as a task calls a network on a weighted graph
            return self.network(x, edges, masked.weights)
        with _in_layers(self.network, edges, masked):
            return self.network(x, edges, *rest)


@contextlib.contextmanager
def _in_layers(network: nn.Module, edges: Tensor, masked: Graph) -> Iterator[None]:
    """Gives every graph layer that is called with `edges` the masked graph in its place, for the time of the block."""
    with contextlib.ExitStack() as hooks:
        for layer in network.modules():
            hook = _hook(layer, edges, masked)
            if hook is not None:
                hooks.callback(hook.remove)
        yield


def _hook(layer: nn.Module, edges: Tensor, masked: Graph) -> RemovableHandle | None:
    """Returns the hook that gives one layer its masks, None for a layer without edges."""
    weights = masked.weights
    assert weights is not None

    def as_graph(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(masked if one is edges else one for one in arguments)

    def as_weight(
        _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if len(arguments) > 2 or not any(one is edges for one in (*arguments, *named.values())):
            return None
        return arguments, {"edge_weight": weights, **named}

    def on_messages(_: nn.Module, inputs: tuple[Any, ...], messages: Tensor) -> Tensor:
        apart = masked.adjacency.rows != masked.adjacency.indices
        if len(messages) == len(weights):
            factor = weights
        elif len(messages) == int(apart.sum()) + masked.num_nodes:  # the layer has put self loops last
            factor = torch.cat([weights[apart], weights.new_ones(masked.num_nodes)])
        else:
            return messages
        return messages * factor.view(-1, *[1] * (messages.dim() - 1))

    handle: RemovableHandle
    if isinstance(layer, _OURS):
        handle = layer.register_forward_pre_hook(as_graph)
        return handle
    pyg = sys.modules.get("torch_geometric.nn.conv.message_passing")
    if pyg is None or not isinstance(layer, pyg.MessagePassing):
        return None
    if "edge_weight" in inspect.signature(layer.forward).parameters:
        handle = layer.register_forward_pre_hook(as_weight, with_kwargs=True)
    else:
        handle = layer.register_message_forward_hook(on_messages)
    return handle
