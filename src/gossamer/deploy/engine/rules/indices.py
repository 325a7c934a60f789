"""Numbers taken from places, or added to places, that other numbers name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from gossamer.deploy.engine.builder import NUMBERS, Builder, Unsupported, kind_of, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value, product
from gossamer.deploy.engine.rules.table import rule

_INDICES = (torch.int32, torch.int64)


@rule("embedding")
def embedding(b: Builder, node: Node, table: Value, indices: Value, *settings: Any) -> Value:
    """Rows of a table."""
    del settings
    return _rows(b, table, indices, sizes_of(node))


@rule("index_select")
def index_select(b: Builder, node: Node, x: Value, axis: int, indices: Value) -> Value:
    """Places of an axis, in any order."""
    del node
    return _at_axis(b, x, axis % len(x.size), indices)


@rule("index.Tensor")
def index(b: Builder, node: Node, x: Value, indices: Sequence[Value | None]) -> Value:
    """Places of neighbouring axes, which count from the end below zero."""
    axes = [axis for axis, one in enumerate(indices) if one is not None]
    places = [one for one in indices if one is not None]
    if any(one.dtype not in _INDICES for one in places):
        raise Unsupported("places chosen by truths")
    if axes != list(range(axes[0], axes[0] + len(axes))):
        raise Unsupported("indices of axes that are not side by side")
    sizes = [x.size[axis] for axis in axes]
    whole = sizes_of(node)
    shape = whole[axes[0] : axes[0] + len(whole) - len(x.size) + len(axes)]
    flat = places[0]  # below zero it counts from the end even when the axes are one
    for one, size in zip(places[1:], sizes[1:], strict=True):
        scaled = b.elementwise("multiply", flat, _sized(b, size), size=flat.size, dtype=torch.int64)
        flat = b.elementwise("add", scaled, _from_start(b, one, size), size=shape, dtype=torch.int64)
    if len(axes) > 1:
        x = b.reshaped(x, (*x.size[: axes[0]], product(sizes), *x.size[axes[-1] + 1 :]))
    return _at_axis(b, x, axes[0], flat, wrap=True)


@rule("gather")
def gather(b: Builder, node: Node, x: Value, axis: int, indices: Value, **settings: Any) -> Value:
    """A number of an axis for each index."""
    del settings
    if not x.size or x.dtype not in NUMBERS:
        raise Unsupported("indices into one number")
    return b.add(Step("take", [x, indices], [b.result(sizes_of(node), x.dtype)], sizes=[axis % len(x.size)]))


@rule("index_add", "scatter_add")
def add_to_rows(
    b: Builder, node: Node, base: Value, axis: int, indices: Value, rows: Value, *, alpha: Any = 1
) -> Value:
    """Rows added to those that an index names; of `scatter_add`, one index for all numbers of a row."""
    if axis % len(base.size) != 0 or alpha != 1 or kind_of(node) is not torch.float32:
        raise Unsupported("sums in other places than rows of floats")
    if len(indices.size) == len(rows.size) > 1:  # of scatter_add
        if any(stride != 0 for stride in indices.strides[1:]) or indices.size != rows.size:
            raise Unsupported("sums with an index for each number")
        indices = b.view(indices, indices.size[:1], indices.strides[:1])
    width = product(base.size[1:])
    given = [b.contiguous(base), b.contiguous(indices), rows]
    given[0] = b.reshaped(given[0], (base.size[0], width))
    given[2] = b.reshaped(rows, (rows.size[0], width)) if len(rows.size) != 2 else rows
    out = b.result((base.size[0], width))
    return b.reshaped(b.add(Step("scatter", [*given], [out])), sizes_of(node))


def _at_axis(b: Builder, x: Value, axis: int, indices: Value, *, wrap: bool = False) -> Value:
    """Takes rows of an axis, which is brought to the front and back."""
    size = (*indices.size, *x.size[:axis], *x.size[axis + 1 :])
    if axis:
        order = [axis, *range(axis), *range(axis + 1, len(x.size))]
        x = b.view(x, [x.size[i] for i in order], [x.strides[i] for i in order])
    found = _rows(b, x, indices, size, wrap=wrap)
    if not axis:
        return found
    more = len(indices.size)
    back = [*range(more, more + axis), *range(more), *range(more + axis, len(size))]
    return b.view(found, [size[i] for i in back], [found.strides[i] for i in back])


def _rows(b: Builder, table: Value, indices: Value, size: Sequence[Size], *, wrap: bool = False) -> Value:
    if table.dtype not in NUMBERS or indices.dtype not in _INDICES:
        raise Unsupported(f"rows of {table.dtype} by {indices.dtype}")
    inputs: list[Value | None] = [b.contiguous(table), b.contiguous(indices)]
    return b.add(Step("gather", inputs, [b.result(size, table.dtype)], sizes=[int(wrap)]))


def _from_start(b: Builder, indices: Value, size: Size) -> Value:
    """Returns indices none of which counts from the end."""
    if indices.kind == "constant" and indices.data is not None:
        if not bool((indices.data < 0).any()):
            return indices
        if isinstance(size, int):
            return b.constant(torch.where(indices.data < 0, indices.data + size, indices.data))
    below = b.elementwise("less", indices, b.filled(0, indices.size, torch.int64), size=indices.size, dtype=torch.bool)
    shift = b.elementwise("keep", below, _sized(b, size), size=indices.size, dtype=torch.int64)
    return b.elementwise("add", indices, shift, size=indices.size, dtype=torch.int64)


def _sized(b: Builder, size: Size) -> Value:
    """Returns a size as a value of one number."""
    if not isinstance(size, int):
        raise Unsupported("indices of an axis of any size")
    return b.filled(size, [1], torch.int64)
