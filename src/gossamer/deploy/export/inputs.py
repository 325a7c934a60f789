"""What a program that was exported takes: plain tensors with names, some of whose sizes may differ from call to call.

A `Graph` becomes `edge_index`, (2, E) int64, and `edge_weight`, (E,), if it has weights; a CSR of features becomes a
dense tensor. From an example come inputs of other sizes too: a program is traced on sizes that no two axes share, and
checked on more than the one it was traced with.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError, SettingError
from gossamer.graph import CSR, Graph

NODES, EDGES, BATCH = "nodes", "edges", "batch"


@dataclass(frozen=True)
class Input:
    """One tensor that a program takes.

    Attributes:
        name: In the file.
        value: That of the example.
        axes: What each axis counts if its size may change, else None.
    """

    name: str
    value: Tensor
    axes: tuple[str | None, ...]


@dataclass(frozen=True)
class Inputs:
    """All that a program takes, in order.

    Attributes:
        of: One for each tensor.
        graph: The place among the model's arguments of a `Graph` that the program makes from edges, or None.
        weighted: Whether that graph has edge weights.
    """

    of: tuple[Input, ...]
    graph: int | None = None
    weighted: bool = False

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return [one.name for one in self.of]

    @property
    def values(self) -> tuple[Tensor, ...]:
        """The tensors of the example, in order."""
        return tuple(one.value for one in self.of)

    @property
    def sizes(self) -> dict[str, int]:
        """How large each axis that may change is in the example."""
        return {axis: one.value.shape[i] for one in self.of for i, axis in enumerate(one.axes) if axis is not None}

    def fixed(self) -> Inputs:
        """Returns these inputs with no size that may change."""
        of = tuple(Input(one.name, one.value, (None,) * one.value.dim()) for one in self.of)
        return Inputs(of, self.graph, self.weighted)

    def with_axes(self, axes: Mapping[str, Mapping[int, str]]) -> Inputs:
        """Returns these inputs with further sizes that may change.

        Args:
            axes: For an input's name, its axes and what they count; axes that count the same have one size.

        Raises:
            SettingError: There is no such input, or it has no such axis.
        """
        for name, own in axes.items():
            if name not in self.names:
                raise SettingError(f"dynamic: found {name!r}, expected inputs among {', '.join(self.names)}")
            value = next(one.value for one in self.of if one.name == name)
            for axis in own:
                if not 0 <= axis < value.dim():
                    raise SettingError(f"dynamic: {name} has {value.dim()} axes, found axis {axis}; count from 0")
        of = tuple(
            Input(one.name, one.value, tuple(axes.get(one.name, {}).get(i, axis) for i, axis in enumerate(one.axes)))
            for one in self.of
        )
        return Inputs(of, self.graph, self.weighted)

    def arguments(self, tensors: Sequence[Tensor]) -> list[Any]:
        """Returns the model's arguments for the tensors of a call, in order."""
        given: list[Any] = list(tensors)
        if self.graph is not None:
            nodes = given[0].shape[0]
            weights = given.pop(self.graph + 1) if self.weighted else None
            given[self.graph] = Graph.from_edge_index(given[self.graph], nodes, weights)
        return given

    def resized(self, sizes: dict[str, int], seed: int = 0) -> tuple[Tensor, ...]:
        """Returns tensors like those of the example, for a call of other sizes.

        Rows are those of the example over and over, edges are drawn at random, and nodes are dealt out to as many
        graphs as the example has, or to as many as there are nodes.
        """
        generator = torch.Generator().manual_seed(seed)
        return tuple(_resized(one, sizes, generator) for one in self.of)


class Named(nn.Module):
    """A network whose arguments have names, as one that takes its tensors in order.

    Args:
        model: The network.
        names: Of the tensors, in order.
        settings: What else it is called with, always the same.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.names, self.settings = model, tuple(names), dict(settings)

    def forward(self, *tensors: Tensor) -> Any:
        """Returns what the network returns."""
        return self.model(**dict(zip(self.names, tensors, strict=True)), **self.settings)


def positional(model: nn.Module, example: Sequence[Any] | Mapping[str, Any]) -> tuple[nn.Module, tuple[Any, ...]]:
    """Returns a network and its arguments in order, for an example that may give them by name."""
    if not isinstance(example, Mapping):
        return model, tuple(example)
    tensors = {name: value for name, value in example.items() if isinstance(value, Tensor | CSR | Graph)}
    settings = {name: value for name, value in example.items() if name not in tensors}
    return Named(model, list(tensors), settings), tuple(tensors.values())


def inputs_of(model: nn.Module, example: Sequence[Any]) -> Inputs:
    """Reads from an example call what a program of this model takes.

    Raises:
        ModelError: An argument is neither a tensor, nor a CSR, nor a Graph; or there is nothing to tell nodes by.
    """
    names = _argument_names(model, len(example))
    graph = next((i for i, argument in enumerate(example) if isinstance(argument, Graph)), None)
    told = isinstance(model, Named)  # a name says what an argument is
    edges = next((i for i in range(len(example)) if ("edge" in names[i] or not told) and _is_edges(example, i)), None)
    edges = edges if graph is None else graph
    found: list[Input] = []
    nodes = example[0].shape[0] if example and isinstance(example[0], Tensor | CSR) and len(example[0].shape) else None
    for i, (name, argument) in enumerate(zip(names, example, strict=True)):
        if isinstance(argument, Graph):
            if i != edges or i == 0:
                raise ModelError("export: expected features first and one graph; wrap the model so that it takes those")
            found.append(Input("edge_index", argument.to_edge_index(), (None, EDGES)))
            if argument.weights is not None:
                found.append(Input("edge_weight", argument.weights, (EDGES,)))
            continue
        value = argument.to_dense() if isinstance(argument, CSR) else argument
        if not isinstance(value, Tensor):
            raise ModelError(
                f"export: argument {name!r} is {type(argument).__name__}; expected a tensor, a CSR or a Graph: "
                "fix it in a module around the model"
            )
        name = "edge_index" if i == edges else name  # noqa: PLW2901
        found.append(Input(name, value.detach().cpu().contiguous(), _axes(value, i, edges, nodes)))
    return Inputs(tuple(found), graph, graph is not None and example[graph].weights is not None)


def _is_edges(example: Sequence[Any], place: int) -> bool:
    """Says whether an argument is an edge_index: (2, E) integers after features, not token numbers and their mask."""
    value, first = example[place], example[0]
    features = isinstance(first, CSR) or (isinstance(first, Tensor) and (first.is_floating_point() or first.dim() == 1))
    return (
        place > 0 and features and isinstance(value, Tensor) and value.dtype == torch.int64 and value.shape[:-1] == (2,)
    )


def _axes(value: Tensor, place: int, edges: int | None, nodes: int | None) -> tuple[str | None, ...]:
    """Says what the axes of an argument count."""
    if value.dim() == 0:
        return ()
    rest = (None,) * (value.dim() - 1)
    if edges is None:
        return (BATCH if value.shape[0] == nodes else None, *rest)
    if place == edges:
        return None, EDGES
    if place > edges and value.is_floating_point() and value.dim() == 1:
        return (EDGES,)
    return (NODES if value.shape[0] == nodes else None, *rest)


def _argument_names(model: nn.Module, count: int) -> list[str]:
    """Returns the names of the first arguments of the model's forward."""
    if isinstance(model, Named):
        return list(model.names)
    names: list[str] = []
    for name, parameter in inspect.signature(model.forward).parameters.items():
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            names.append(name)
    return [names[i] if i < len(names) else f"input_{i}" for i in range(count)]


def _resized(one: Input, sizes: dict[str, int], generator: torch.Generator) -> Tensor:
    value = one.value
    if one.axes == (None, EDGES):
        return torch.randint(sizes[NODES], (2, sizes[EDGES]), generator=generator)
    if one.axes == (NODES,) and not value.is_floating_point():
        graphs = int(value.max()) + 1 if value.numel() else 1
        return torch.arange(sizes[NODES]) * min(graphs, sizes[NODES]) // max(sizes[NODES], 1)
    for place, axis in enumerate(one.axes):
        if axis is not None:
            there = torch.arange(sizes[axis]) % max(value.shape[place], 1)
            shape = [*value.shape[:place], 1, *value.shape[place + 1 :]]
            value = (value if value.shape[place] else value.new_ones(shape)).index_select(place, there)
    return value


def distinct_sizes(sizes: dict[str, int]) -> dict[str, int]:
    """Returns sizes to trace with: at least 3, which are no special case, and all different."""
    found: dict[str, int] = {}
    for axis, size in sizes.items():
        found[axis] = next(other for other in range(max(size, 3), size + 9) if other not in found.values())
    return found


def other_sizes(sizes: dict[str, int]) -> list[dict[str, int]]:
    """Returns further sizes to check a program with: half, twice and, of edges, none."""
    half = {axis: max(size // 2, 1) for axis, size in sizes.items()}
    twice = {axis: 2 * size + 1 for axis, size in sizes.items()}
    lonely = [{axis: 0 if axis == EDGES else size for axis, size in sizes.items()}] if EDGES in sizes else []
    return [half, twice, *lonely] if sizes else []
