"""Operators of this library: neighbourhoods are reduced node by node, features and heads pass."""

from __future__ import annotations

from torch import Tensor

from gossamer.kernels.attention.references import ADDITIVE
from gossamer.structure.axes import Axis
from gossamer.structure.rules.table import Axes, Call, rule

_NODES = "it is the nodes or edges of a graph"


def _nodes(call: Call, *axes: Axis) -> None:
    call.trace.freeze(axes, _NODES)


@rule("gossamer::aggregate")
def aggregate(call: Call) -> Axes:
    """Of x (M, F) or (M, H, F), weights (E,) or (E, H): (N, F) or (N, H, F)."""
    axes, weights = call.axes("x"), call.get("weights")
    _nodes(call, axes[0])
    if isinstance(weights, Tensor) and weights.dim() > 1:
        call.tie(axes[1], call.axes(weights)[1])
    return (call.fresh(call.out.shape[0], _NODES), *axes[1:])


@rule("gossamer::edge_dot")
def edge_dot(call: Call) -> Axes:
    """(N, …, F) and (M, …, F): a product a head and edge."""
    left, right = call.axes("left"), call.axes("right")
    _nodes(call, left[0], right[0])
    for one, other in zip(left[1:], right[1:], strict=True):
        call.tie(one, other)
    heads = left[1 : call.out.dim()]
    for axis in left[call.out.dim() :]:
        axis.consume()
    return (call.fresh(call.out.shape[0], _NODES), *heads)


@rule("gossamer::propagate")
def propagate(call: Call) -> Axes:
    """Of x (M, F) is summed over neighbours; what is added lies along F."""
    axes = call.axes("x")
    _nodes(call, axes[0])
    for name in ("add", "bias"):
        if call.get(name) is not None:
            call.tie(axes[-1], call.axes(name)[-1])
    return (call.fresh(call.out.shape[0], _NODES), axes[-1])


@rule("gossamer::maximum")
def maximum(call: Call) -> list[Axes]:
    """Of x (M, F): the largest of neighbours, and what is needed for its gradient."""
    axes = call.axes("x")
    _nodes(call, axes[0])
    return [
        (call.fresh(item.shape[0], _NODES), axes[1])
        if item.dim() == 2 and item.shape[1] == axes[1].size
        else tuple(call.fresh(size, _NODES) for size in item.shape)
        for item in call.out
    ]


@rule("gossamer::attention")
def attention(call: Call) -> list[Axes]:
    """Values (M, H, F); scores of nodes (N, H), or from vectors (N, H, D)."""
    values, near, far = call.axes("values"), call.axes("near"), call.axes("far")
    _nodes(call, values[0], near[0], far[0])
    call.tie(values[1], near[1], far[1])
    if call["form"] != ADDITIVE:
        call.contract(near[2], far[2])
        if call.get("mix") is not None:
            for one, other in zip(near[1:], call.axes("mix"), strict=True):
                call.tie(one, other)
    nodes = call.fresh(call.out[0].shape[0], _NODES)
    return [(nodes, *values[1:]), (Axis(2), nodes, values[1])]


@rule("gossamer::head_dots")
def head_dots(call: Call) -> Axes:
    """Of x (N, H, F), vectors (K, H, F): (K, N, H)."""
    axes, vectors = call.axes("x"), call.axes("vectors")
    call.tie(axes[1], vectors[1])
    call.contract(axes[2], vectors[2])
    return (vectors[0], axes[0], axes[1])
