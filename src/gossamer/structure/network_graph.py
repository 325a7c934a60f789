"""A network as a graph: channels are nodes, weights are edges; and the way back, through which gradients flow.

    graph = network_graph(model, example)
    x, edges = graph.encode(model)          # (N, 5) features of nodes, (E, 9) features of edges
    tensors = graph.decode(x, edges)        # parameter name to tensor; differentiable in both arguments

After Liu, Wang & Zhang, "Meta pruning via graph metanetworks", 2025 (arXiv 2506.12041), who write one mapping for each
architecture. Here one mapping serves every network that can be traced:

- Nodes: the outputs of every layer that multiplies by a parameter, and the inputs of the network that it multiplies.
  Features: scale, shift, running mean and variance of a normalisation, then the bias of the layer, (1, 0, 0, 1, 0)
  where there is none. What lies along an axis belongs to the last layer before it that makes this axis.
- Edges: every pair of an output and an input of a weight. Features: the taps of the kernel, in the middle of 9 (3×3);
  a kernel that has more is cut over several edges. A position behind a flattening is an edge of its own, to the node
  of its channel. Where axes of two layers are tied, as by a shortcut, an edge with 1 in the middle joins each unit
  to its own; `ties="all"` also joins all other pairs, with zeros, as the paper does.

Parameters that are neither, such as embeddings, are left as they are, and named in `left`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.structure.axes import Axis, factorise, product
from gossamer.structure.plan import arguments
from gossamer.structure.products import Product, products
from gossamer.structure.trace import Trace, trace

TAPS = 9
SLOTS = {"scale": 0, "shift": 1, "running_mean": 2, "running_var": 3, "bias": 4}
DEFAULTS = (1.0, 0.0, 0.0, 1.0, 0.0)
Ties = Literal["equal", "all"]


@dataclass(frozen=True, eq=False)
class Layer:
    """The nodes of one layer, or of inputs of the network.

    Attributes:
        name: Of the parameter whose outputs they are; "" of inputs.
        start: The first node.
        axis: The axis whose positions they are.
    """

    name: str
    start: int
    axis: Axis


@dataclass(frozen=True, eq=False)
class Weight:
    """The edges of one parameter, (outputs, inputs, pieces) in row-major order.

    Attributes:
        product: Which parameter, and how it is multiplied.
        shape: Its shape.
        start: The first edge.
        pieces: Edges from one input to one output: more than one where a kernel has more than 9 taps.
    """

    product: Product
    shape: torch.Size
    start: int
    pieces: int

    @property
    def taps(self) -> int:
        """Numbers from one input to one output."""
        return self.shape.numel() // self.pairs

    @property
    def pairs(self) -> int:
        """Pairs of an output and an input."""
        return self.shape[0] * self.shape[1]

    @property
    def stop(self) -> int:
        """The edge behind the last."""
        return self.start + self.pairs * self.pieces


@dataclass(frozen=True, eq=False)
class Vector:
    """A parameter or buffer along the nodes.

    Attributes:
        name: Its name.
        slot: The feature it is.
        nodes: (length,) the node of each position.
        shape: Its shape, of which at most one size is not 1.
        trained: Whether it is written back: running statistics are not.
    """

    name: str
    slot: int
    nodes: Tensor
    shape: torch.Size
    trained: bool


@dataclass(frozen=True, eq=False)
class NetworkGraph:
    """The mapping of one network; it holds no weights.

    Attributes:
        layers: What the nodes are.
        weights, vectors: What is where.
        outputs, inputs: (E,) the nodes that each edge joins, int64.
        ties: How many edges, the last ones, stand for tied axes.
        tied: (ties,) 1 where the two nodes are the same unit, 0 else.
        left: Parameters that are not part of the graph.
    """

    layers: tuple[Layer, ...]
    weights: tuple[Weight, ...]
    vectors: tuple[Vector, ...]
    outputs: Tensor
    inputs: Tensor
    ties: int
    tied: Tensor
    left: tuple[str, ...]

    @property
    def num_nodes(self) -> int:
        """N."""
        last = self.layers[-1]
        return last.start + last.axis.size

    @property
    def num_edges(self) -> int:
        """E."""
        return len(self.outputs)

    def encode(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """Returns the features of nodes, (N, 5), and of edges, (E, 9), float32, of a network's weights as they are.

        Raises:
            ModelError: The network is not the one that the graph was made for.
        """
        tensors: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        x = torch.tensor(DEFAULTS).repeat(self.num_nodes, 1)
        edges = torch.zeros(self.num_edges, TAPS)
        for weight in self.weights:
            name = weight.product.parameter
            if name not in tensors or tensors[name].shape != weight.shape:
                found = tuple(tensors[name].shape) if name in tensors else "nothing"
                raise ModelError(f"{name}: expected the shape {tuple(weight.shape)}, found {found}; map it anew")
            edges[weight.start : weight.stop] = _spread(weight, tensors[name].detach().float().cpu())
        for vector in self.vectors:
            x[vector.nodes, vector.slot] = tensors[vector.name].detach().float().cpu().flatten()
        if self.ties:
            edges[-self.ties :, TAPS // 2] = self.tied
        return x, edges

    def decode(self, x: Tensor, edges: Tensor) -> dict[str, Tensor]:
        """Returns the parameters that features stand for, in their own shapes; differentiable.

        Running statistics, edges of tied axes and what a kernel does not fill are ignored.

        Args:
            x: (N, 5).
            edges: (E, 9).
        """
        tensors = {weight.product.parameter: _gather(weight, edges) for weight in self.weights}
        for vector in self.vectors:
            if vector.trained:
                tensors[vector.name] = x[vector.nodes, vector.slot].view(vector.shape)
        return tensors


def network_graph(model: nn.Module, example: Any, *, ties: Ties = "equal") -> NetworkGraph:
    """Returns the graph of a network.

    Args:
        model: Any module that runs on the example; left as it is.
        example: As for `gossamer.plan`.
        ties: Which pairs of units an edge joins where axes are tied.

    Raises:
        ModelError: The network does not run on the example, or multiplies by no parameter.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = network_graph(net, torch.zeros(1, 4))
    >>> graph.num_nodes, graph.num_edges
    (14, 48)
    """
    args, kwargs = arguments(example)
    return _Mapping(trace(model, args, kwargs), args, kwargs, ties).graph()


class _Mapping:
    """A graph in the making."""

    def __init__(self, traced: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], ties: Ties) -> None:
        self.trace = traced
        self.products = {one.parameter: one for one in products(traced.model, args, kwargs)}
        self.all_pairs = ties == "all"
        self.layers: list[Layer] = []
        self.weights: list[Weight] = []
        self.vectors: list[Vector] = []
        self.outputs: list[Tensor] = []
        self.inputs: list[Tensor] = []
        self.ties: list[tuple[Tensor, Tensor]] = []
        self.parameters = dict(traced.model.named_parameters())
        self._taken: set[tuple[int, int]] = set()  # nodes and features that a vector fills
        self._units: dict[tuple[Axis, Axis], Tensor] = {}

    def graph(self) -> NetworkGraph:
        for name, axes in self.trace.tensors.items():  # in the order of first use
            if name in self.products:
                self._add_weight(self.products[name], axes)
            elif axes and sum(axis.size > 1 for axis in axes) <= 1:
                self._add_vector(name, axes)
        if not self.weights:
            raise ModelError(
                f"{type(self.trace.model).__name__} multiplies by no parameter of its own; a graph of a network needs "
                "linear layers or convolutions"
            )
        mapped = [*(weight.product.parameter for weight in self.weights), *(vector.name for vector in self.vectors)]
        tied = [(later[:, None].expand(-1, len(one)), one.expand(len(later), -1)) for later, one in self.ties]
        pairs = [
            (a.flatten(), b.flatten(), torch.eye(*a.shape).flatten())
            if self.all_pairs
            else (later, one, torch.ones(len(one)))
            for (a, b), (later, one) in zip(tied, self.ties, strict=True)
        ]
        return NetworkGraph(
            layers=tuple(self.layers),
            weights=tuple(self.weights),
            vectors=tuple(self.vectors),
            outputs=torch.cat([*self.outputs, *(pair[0] for pair in pairs)]),
            inputs=torch.cat([*self.inputs, *(pair[1] for pair in pairs)]),
            ties=sum(len(pair[0]) for pair in pairs),
            tied=torch.cat([torch.zeros(0), *(pair[2] for pair in pairs)]),
            left=tuple(name for name in self.parameters if name not in {*mapped}),
        )

    def _add_weight(self, one: Product, axes: tuple[Axis, ...]) -> None:
        """Adds the outputs of a weight as nodes, and its edges."""
        shape = torch.Size(axis.size for axis in axes)
        inside, outside = axes[one.inputs], axes[one.outputs]
        if one.groups > 1:
            summed = outside if one.inputs == 1 else inside
            group, _ = factorise(summed, one.groups, summed.size // one.groups)
            inside = product(group, inside) if one.inputs == 1 else inside
            outside = product(group, outside) if one.inputs == 0 else outside
        nodes = self._nodes(inside)
        new = self._add_tied(one.parameter, outside)
        rows, columns = _pairs(one, shape)
        pieces = -(-(shape.numel() // len(rows)) // TAPS)
        start = sum(len(part) for part in self.outputs)
        self.weights.append(Weight(one, shape, start, pieces))
        self.outputs.append(new[rows].repeat_interleave(pieces))
        self.inputs.append(nodes[columns].repeat_interleave(pieces))

    def _add_vector(self, name: str, axes: tuple[Axis, ...]) -> None:
        """Puts a vector on the nodes that it lies along; on new ones, tied to those, where its feature is taken."""
        axis = next((axis for axis in axes if axis.size > 1), axes[-1])
        nodes, slot = self._existing(axis)[0], self._slot(name)
        if slot < 0 or bool((nodes < 0).any()) or len({*nodes.tolist()}) < len(nodes):
            return
        if not self._taken.isdisjoint((node, slot) for node in nodes.tolist()):
            nodes = self._add_tied(name, axis)
        self._taken.update((node, slot) for node in nodes.tolist())
        shape = torch.Size(axis.size for axis in axes)
        self.vectors.append(Vector(name, slot, nodes, shape, name in self.parameters))

    def _add_tied(self, name: str, axis: Axis) -> Tensor:
        """Adds nodes, tied to the last ones that stand for the same units."""
        earlier, whole = self._existing(axis)
        new = self._add_layer(name, axis)
        tied = (earlier >= 0) & whole
        if bool(tied.any()):
            self.ties.append((new[tied], earlier[tied]))
        return new

    def _add_layer(self, name: str, axis: Axis) -> Tensor:
        start = self.layers[-1].start + self.layers[-1].axis.size if self.layers else 0
        self.layers.append(Layer(name, start, axis))
        return torch.arange(start, start + axis.size)

    def _nodes(self, axis: Axis) -> Tensor:
        """Returns the node of each position of an axis that is read; positions that no layer makes are inputs."""
        nodes, _ = self._existing(axis)
        if bool((nodes < 0).any()):
            new = self._add_layer("", axis)
            nodes = torch.where(nodes < 0, new, nodes)
        return nodes

    def _existing(self, axis: Axis) -> tuple[Tensor, Tensor]:
        """Returns the node of each position of an axis, -1 where there is none, and whether all its parts fit.

        Of the layers that have a position's units, the one that has most of its parts is taken, of these the last.
        """
        leaves = list(dict.fromkeys(axis.leaves()))
        nodes = torch.full((axis.size,), -1)
        whole = torch.zeros(axis.size, dtype=torch.bool)
        parts = self._key(axis, leaves)[1]
        known = []
        for place, layer in enumerate(self.layers):
            own = set(layer.axis.leaves())
            common = [leaf for leaf in leaves if leaf in own]
            if common:
                known.append((len(common), place, layer, common))
        for _, _, layer, common in sorted(known, key=lambda item: item[:2], reverse=True):
            there, _ = self._key(layer.axis, common)
            here, count = self._key(axis, common)
            first = {key: position for position, key in reversed(list(enumerate(there.tolist()))) if key}
            found = torch.tensor([first.get(key, -1) for key in here.tolist()])
            new = (nodes < 0) & (found >= 0)
            nodes = torch.where(new, layer.start + found, nodes)
            whole = torch.where(new, count == parts, whole)
        return nodes, whole

    def _key(self, axis: Axis, leaves: list[Axis]) -> tuple[Tensor, Tensor]:
        """Returns a number for the units of these leaves at each position, 0 where there are none; and how many."""
        key = torch.zeros(axis.size, dtype=torch.int64)
        count = torch.zeros(axis.size, dtype=torch.int64)
        for leaf in leaves:
            units = self._of(axis, leaf)
            key = key * (leaf.size + 1) + units + 1
            count += units >= 0
        return key, count

    def _of(self, axis: Axis, leaf: Axis) -> Tensor:
        root = axis.root()
        if (root, leaf) not in self._units:
            self._units[root, leaf] = torch.stack(root.units(leaf)).amax(0)
        return self._units[root, leaf]

    def _slot(self, name: str) -> int:
        """Returns the feature that a vector is, -1 for none."""
        owner, _, own = name.rpartition(".")
        if name not in self.parameters:
            return SLOTS.get(own, -1)
        if "bias" not in own:
            return SLOTS["scale"]
        scale = self.trace.tensors.get(f"{owner}.weight" if owner else "weight", ())
        return SLOTS["shift"] if len(scale) == 1 else SLOTS["bias"]


def _pairs(one: Product, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Returns, for every output and input of a weight in row-major order, the positions along the whole axes."""
    outputs, inputs = shape[one.outputs], shape[one.inputs]
    rows = torch.arange(outputs).repeat_interleave(inputs)
    columns = torch.arange(inputs).repeat(outputs)
    if one.groups > 1 and one.inputs == 1:
        columns = columns + rows // (outputs // one.groups) * inputs
    elif one.groups > 1:
        rows = rows + columns // (inputs // one.groups) * outputs
    return rows, columns


def _spread(weight: Weight, values: Tensor) -> Tensor:
    """Returns the features of a weight's edges, (edges, 9)."""
    one = weight.product
    kernel = values.movedim((one.outputs, one.inputs), (0, 1)).reshape(weight.pairs, -1)
    before = _before(weight)
    padded = kernel.new_zeros(weight.pairs, weight.pieces * TAPS)
    padded[:, before : before + kernel.shape[1]] = kernel
    return padded.view(-1, TAPS)


def _gather(weight: Weight, edges: Tensor) -> Tensor:
    """Returns a weight in its own shape from the features of its edges."""
    one, before = weight.product, _before(weight)
    kernel = edges[weight.start : weight.stop].reshape(weight.pairs, -1)[:, before : before + weight.taps]
    places = [size for dim, size in enumerate(weight.shape) if dim not in (one.outputs, one.inputs)]
    whole = kernel.reshape(weight.shape[one.outputs], weight.shape[one.inputs], *places)
    return whole.movedim((0, 1), (one.outputs, one.inputs)).contiguous()


def _before(weight: Weight) -> int:
    """Returns how many zeros stand before a kernel that fits on one edge, so that it lies in the middle."""
    return (TAPS - weight.taps) // 2 if weight.pieces == 1 else 0
