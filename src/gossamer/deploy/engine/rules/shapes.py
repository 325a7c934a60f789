"""Operators that move numbers or look at them in another shape; most are views and cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value
from gossamer.deploy.engine.rules.table import rule


@rule(
    "view", "reshape", "_unsafe_view", "flatten.using_ints", "unflatten.int", "squeeze.dims", "squeeze.dim", "squeeze"
)
def reshape(b: Builder, node: Node, x: Value, *settings: Any) -> Value:
    """Other sizes for the same numbers."""
    del settings
    return b.reshaped(x, sizes_of(node))


@rule("unsqueeze")
def unsqueeze(b: Builder, node: Node, x: Value, axis: int) -> Value:
    """An axis of size one more."""
    at = axis % (len(x.size) + 1)
    return b.view(x, sizes_of(node), [*x.strides[:at], 1, *x.strides[at:]])


@rule("permute")
def permute(b: Builder, node: Node, x: Value, axes: Sequence[int]) -> Value:
    """Axes in another order."""
    del node
    return b.view(x, [x.size[i] for i in axes], [x.strides[i] for i in axes])


@rule("transpose.int", "t")
def transpose(b: Builder, node: Node, x: Value, first: int = 0, second: int = 1) -> Value:
    """Two axes exchanged."""
    axes = list(range(len(x.size)))
    axes[first], axes[second] = axes[second], axes[first]
    return permute(b, node, x, axes)


@rule("expand", "broadcast_to")
def expand(b: Builder, node: Node, x: Value, *settings: Any, **others: Any) -> Value:
    """Axes of size one repeated."""
    del settings, others
    size = sizes_of(node)
    more = len(size) - len(x.size)
    stride: list[Size] = [0] * more
    stride += [0 if own == 1 else step for own, step in zip(x.size, x.strides, strict=True)]
    return b.view(x, size, stride)


@rule("select.int")
def select(b: Builder, node: Node, x: Value, axis: int, index: Any) -> Value:
    """One place of an axis."""
    del node
    axis %= len(x.size)
    at = _place(x, axis, index)
    strides = x.strides
    return b.view(x, _without(x.size, axis), _without(strides, axis), at * strides[axis])


@rule("unbind.int")
def unbind(b: Builder, node: Node, x: Value, axis: int = 0) -> list[Value]:
    """Every place of an axis."""
    return [select(b, node, x, axis, place) for place in range(int(x.size[axis]))]


@rule("slice.Tensor")
def cut(b: Builder, node: Node, x: Value, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    """A stretch of an axis."""
    del end
    axis %= len(x.size)
    at = _place(x, axis, 0 if start is None else start)
    strides = x.strides
    stride = [*strides[:axis], strides[axis] * step, *strides[axis + 1 :]]
    return b.view(x, sizes_of(node), stride, at * strides[axis])


@rule("split.Tensor", "split_with_sizes", "chunk")
def split(b: Builder, node: Node, x: Value, parts: Any, axis: int = 0) -> list[Value]:
    """Stretches of an axis, one after the other."""
    del parts
    axis %= len(x.size)
    found, at = [], 0
    for part in node.meta["val"]:
        size = [one if isinstance(one, int) else one.node.expr for one in part.shape]
        found.append(b.view(x, size, x.strides, at * x.strides[axis]))
        at = at + size[axis]
    return found


@rule("cat")
def cat(b: Builder, node: Node, parts: Sequence[Value], axis: int = 0) -> Value:
    """Values one after the other along an axis."""
    size = sizes_of(node)
    axis %= len(size)
    out = b.result(size, node.meta["val"].dtype)
    at: Size = 0
    for part in parts:
        if len(part.size) != len(size):  # torch takes an empty vector beside anything
            raise Unsupported("values of other axes put together")
        _copy_into(b, out, part, axis, at)
        at = at + part.size[axis]
    return out


@rule("stack")
def stack(b: Builder, node: Node, parts: Sequence[Value], axis: int = 0) -> Value:
    """Values along a new axis."""
    at = axis % (len(parts[0].size) + 1)
    raised = [b.view(x, [*x.size[:at], 1, *x.size[at:]], [*x.strides[:at], 1, *x.strides[at:]]) for x in parts]
    return cat(b, node, raised, at)


@rule("pad", "constant_pad_nd")
def pad(
    b: Builder, node: Node, x: Value, widths: Sequence[int], mode: Any = "constant", value: float | None = None
) -> Value:
    """A border of one number."""
    if isinstance(mode, int | float):
        mode, value = "constant", mode
    if mode != "constant" or any(not isinstance(one, int) for one in widths):
        raise Unsupported("borders other than of a number")
    for place in range(len(widths) // 2):  # below zero: numbers are cut off
        axis = len(x.size) - 1 - place
        start, end = (max(-one, 0) for one in widths[2 * place : 2 * place + 2])
        if start or end:
            kept = [*x.size]
            kept[axis] = kept[axis] - start - end
            x = b.view(x, kept, x.strides, start * x.strides[axis])
    widths = [max(one, 0) for one in widths]
    size = sizes_of(node)
    out = b.result(size, x.dtype)
    b.add(Step("copy", [b.filled(value or 0, size, x.dtype)], [out]))
    offset: Size = 0
    for place in range(len(widths) // 2):
        offset = offset + widths[2 * place] * out.strides[-1 - place]
    b.add(Step("copy", [x], [b.view(out, x.size, out.strides, offset)]))
    return out


@rule("repeat")
def repeat(b: Builder, node: Node, x: Value, times: Sequence[Any]) -> Value:
    """The whole value over and over."""
    more = len(times) - len(x.size)
    own: list[Size] = [1] * more + list(x.size)
    strides: list[Size] = [0] * more + list(x.strides)
    size: list[Size] = []
    stride: list[Size] = []
    for count, length, step in zip(times, own, strides, strict=True):
        size += [count, length]
        stride += [0, step]
    kept = [place for place, one in enumerate(size) if one != 1]
    return b.reshaped(b.view(x, [size[i] for i in kept], [stride[i] for i in kept]), sizes_of(node))


@rule("flip")
def flip(b: Builder, node: Node, x: Value, axes: Sequence[int]) -> Value:
    """Axes the other way round."""
    del node
    strides: list[Size] = list(x.strides)
    offset: Size = 0
    for axis in axes:
        offset = offset + (x.size[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return b.view(x, x.size, strides, offset)


@rule("slice_scatter")
def slice_scatter(
    b: Builder, node: Node, x: Value, part: Value, axis: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    """A value with a stretch of an axis replaced."""
    del end
    axis %= len(x.size)
    out = b.result(sizes_of(node), x.dtype)
    b.add(Step("copy", [x], [out]))
    stride = [*out.strides]
    offset = _place(x, axis, 0 if start is None else start) * stride[axis]
    stride[axis] = stride[axis] * step
    b.add(Step("copy", [part], [b.view(out, part.size, stride, offset)]))
    return out


@rule("select_scatter")
def select_scatter(b: Builder, node: Node, x: Value, part: Value, axis: int, index: Any) -> Value:
    """A value with one place of an axis replaced."""
    axis %= len(x.size)
    raised = b.view(part, [*part.size[:axis], 1, *part.size[axis:]], [*part.strides[:axis], 1, *part.strides[axis:]])
    place = _place(x, axis, index)
    return slice_scatter(b, node, x, raised, axis, place)


@rule("copy")
def copied(b: Builder, node: Node, x: Value, y: Value, *settings: Any) -> Value:
    """The second value, in the shape and kind of the first."""
    del settings
    return b.converted(expand(b, node, y), x.dtype)


@rule("roll")
def roll(b: Builder, node: Node, x: Value, shifts: Sequence[int], axes: Sequence[int] = ()) -> Value:
    """What leaves an axis at one end comes back at the other."""
    del node
    if not axes:
        raise Unsupported("rolling a flattened value")
    for shift, axis in zip(shifts, axes, strict=True):
        length = x.size[axis]
        if not isinstance(length, int):
            raise Unsupported("rolling along an axis of any size")
        moved = shift % length
        if moved == 0:
            continue
        out = b.result(x.size, x.dtype)
        for start, count, at in ((length - moved, moved, 0), (0, length - moved, moved)):
            size = [*x.size]
            size[axis] = count
            _copy_into(b, out, b.view(x, size, x.strides, start * x.strides[axis]), axis, at)
        x = out
    return x


def _copy_into(b: Builder, out: Value, part: Value, axis: int, at: Size) -> None:
    """Copies a value to a stretch of another one."""
    b.add(Step("copy", [part], [b.view(out, part.size, out.strides, at * out.strides[axis])]))


def _place(x: Value, axis: int, index: Any) -> Size:
    """Returns a place of an axis that may count from its end, within the axis."""
    size = x.size[axis]
    if not isinstance(index, int):
        raise Unsupported("a place that depends on sizes")
    place = size + index if index < 0 else index
    return min(max(place, 0), size) if isinstance(size, int) else place


def _without(sizes: Sequence[Size], axis: int) -> list[Size]:
    return [*sizes[:axis], *sizes[axis + 1 :]]
