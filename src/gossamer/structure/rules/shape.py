"""Operators that only rearrange positions: views, permutations, concatenations, slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from gossamer.structure.axes import Axis, Mismatch, concat, factorise, product, split
from gossamer.structure.rules.table import Axes, Call, rule


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "_reshape_copy", "view_copy", "flatten", "unflatten")
def view(call: Call) -> Axes:
    """Takes apart and puts together; where sizes allow no such reading, what takes part is frozen."""
    return regroup(call, call.axes("self"), call.out.shape)


def regroup(call: Call, axes: Axes, shape: Sequence[int]) -> Axes:
    """Returns the axes of a tensor read in another shape.

    Dimensions are laid over each other in the smallest groups that have as many positions before and after.
    """
    if math.prod(shape) == 0:
        same = tuple(axis.size for axis in axes) == tuple(shape)
        return axes if same else tuple(call.fresh(size, "it has no positions in the example") for size in shape)
    result: list[Axis] = []
    before = [axis for axis in axes if axis.size != 1]
    after = [size for size in shape if size != 1]
    while before or after:
        inside, outside = [before.pop(0)], [after.pop(0)]
        while (old := math.prod(axis.size for axis in inside)) != (new := math.prod(outside)):
            if old < new:
                inside.append(before.pop(0))
            else:
                outside.append(after.pop(0))
        result += _read(call, inside, outside)
    filled = iter(result)
    return tuple(Axis(1) if size == 1 else next(filled) for size in shape)


def _read(call: Call, inside: list[Axis], outside: list[int]) -> list[Axis]:
    if len(inside) == len(outside) == 1:
        return inside
    rest, found = product(*inside), []
    try:
        for place, size in enumerate(outside[:-1]):
            outer, rest = factorise(rest, size, math.prod(outside[place + 1 :]))
            found.append(outer)
    except Mismatch as error:
        reason = f"it is read in another shape in {call.trace.where} ({error})"
        call.trace.freeze(inside, reason)
        return [call.fresh(size, reason) for size in outside]
    return [*found, rest]


@rule("as_strided")
def as_strided(call: Call) -> Axes | None:
    """The same shape laid out otherwise; any other use has no rule."""
    return call.axes("self") if call["self"].shape == call.out.shape and call["self"].is_contiguous() else None


@rule("permute", "permute_copy")
def permute(call: Call) -> Axes:
    """Another order of dimensions."""
    axes = call.axes("self")
    return tuple(axes[dim] for dim in call["dims"])


@rule("transpose", "transpose_copy", "swapaxes")
def transpose(call: Call) -> Axes:
    """Two dimensions change places."""
    axes = list(call.axes("self"))
    if axes:
        one, other = call["dim0"], call["dim1"]
        axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


@rule("t", "numpy_T", "adjoint", "mT")
def reverse(call: Call) -> Axes:
    """The last two dimensions change places."""
    axes = call.axes("self")
    return (*axes[:-2], *reversed(axes[-2:]))


@rule("unsqueeze", "squeeze", "unsqueeze_copy", "squeeze_copy", "atleast_1d", "atleast_2d")
def squeeze(call: Call) -> Axes:
    """Dimensions of one position come and go."""
    return regroup(call, call.axes("self"), call.out.shape)


@rule("expand", "expand_copy", "broadcast_to", "expand_as")
def expand(call: Call) -> Axes:
    """Dimensions of one position are repeated."""
    axes, shape = call.axes("self"), call.out.shape
    old = [None] * (len(shape) - len(axes)) + list(axes)
    return tuple(
        axis if axis is not None and axis.size == size else Axis(size) for axis, size in zip(old, shape, strict=True)
    )


@rule("slice", "slice_copy", "narrow")
def slice_(call: Call) -> Axes:
    """A run of positions; with gaps, none may go."""
    axes = list(call.axes("self"))
    dim = call["dim"] % len(axes)
    axis = axes[dim]
    start = slice(call.get("start"), call.get("end")).indices(axis.size)[0]
    step, count = call.get("step", 1), call.out.shape[dim]
    if step != 1:
        reason = f"positions are taken with gaps in {call.trace.where}"
        axis.freeze(reason)
        axes[dim] = call.fresh(count, reason)
    else:
        axes[dim] = _run(call, axis, start, count)[0]
    return tuple(axes)


def _run(call: Call, axis: Axis, start: int, count: int) -> tuple[Axis, Axis]:
    """Returns `count` positions from `start` on, and those behind; what cannot be cut there is frozen."""
    try:
        first, rest = split(split(axis, start)[1], count)
    except Mismatch as error:
        reason = f"it is cut in {call.trace.where} where its parts do not allow it ({error})"
        axis.freeze(reason)
        first, rest = call.fresh(count, reason), call.fresh(axis.size - start - count, reason)
    return first, rest


@rule("select", "select_copy")
def select(call: Call) -> Axes:
    """One position, known by its number."""
    axes = list(call.axes("self"))
    axes.pop(call["dim"] % len(axes)).freeze(f"one position is taken by its number in {call.trace.where}")
    return tuple(axes)


@rule("unbind", "unbind_copy")
def unbind(call: Call) -> list[Axes]:
    """Every position, known by its number."""
    axes = list(call.axes("self"))
    axes.pop(call["dim"] % len(axes)).freeze(f"its positions are taken by number in {call.trace.where}")
    return [tuple(axes) for _ in call.out]


@rule("split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes", "split_copy", "chunk", "unsafe_chunk")
def split_(call: Call) -> list[Axes]:
    """Runs of positions, one after the other; where all are given one size, they go together."""
    axes = call.axes("self")
    dim = call["dim"] % len(axes)
    rest, parts = axes[dim], []
    for part in call.out:
        first, rest = _run(call, rest, 0, part.shape[dim])
        parts.append(first)
    if "with_sizes" not in call.name and len(parts) > 1:
        if len({part.size for part in parts}) == 1:
            call.tie(*parts)
        else:
            call.trace.freeze(parts, f"it is cut into parts of unequal sizes in {call.trace.where}")
    return [(*axes[:dim], part, *axes[dim + 1 :]) for part in parts]


@rule("cat", "concat")
def cat(call: Call) -> Axes:
    """One after the other along one dimension, equal in the others."""
    tensors = [tensor for tensor in call.tensors() if tensor.shape != (0,)]
    if not tensors:
        return tuple(Axis(size) for size in call.out.shape)
    all_axes = [call.axes(tensor) for tensor in tensors]
    dim = call["dim"] % call.out.dim()
    call.trace.joined.append(tuple(axes[dim] for axes in all_axes))
    return tuple(
        concat(*column) if place == dim else call.tie(*column)
        for place, column in enumerate(zip(*all_axes, strict=True))
    )


@rule("stack")
def stack(call: Call) -> Axes:
    """A new dimension, whose positions are the tensors."""
    columns = [call.tie(*column) for column in zip(*(call.axes(tensor) for tensor in call.tensors()), strict=True)]
    dim = call["dim"] % call.out.dim()
    columns.insert(dim, call.fresh(call.out.shape[dim], "its positions are tensors that are stacked"))
    return tuple(columns)


@rule("repeat", "tile")
def repeat(call: Call) -> Axes:
    """The whole, several times."""
    axes = call.axes("self")
    old = [Axis(1)] * (call.out.dim() - len(axes)) + list(axes)
    result = []
    for axis, size in zip(old, call.out.shape, strict=True):
        if axis.size in (0, 1, size):
            result.append(axis if axis.size == size else Axis(size))
        else:
            result.append(product(call.fresh(size // axis.size, f"copies are made in {call.trace.where}"), axis))
    return tuple(result)


@rule("constant_pad_nd", "pad")
def pad(call: Call) -> Axes:
    """New positions before and after; negative amounts take positions away."""
    axes, amounts = list(call.axes("self")), call["pad"]
    for place in range(len(amounts) // 2):
        before, after = amounts[2 * place], amounts[2 * place + 1]
        axis = axes[-1 - place]
        if before < 0:
            axis = split(axis, -before)[1]
        if after < 0:
            axis = split(axis, axis.size + after)[0]
        axes[-1 - place] = concat(Axis(max(before, 0)), axis, Axis(max(after, 0)))
    return tuple(axes)


@rule("unfold")
def unfold(call: Call) -> Axes | None:
    """Windows along a dimension; none of its positions may go."""
    if not isinstance(call.out, Tensor) or call.get("dimension") is None:
        return None
    axes = list(call.axes("self"))
    dim = call["dimension"] % max(len(axes), 1)
    reason = f"windows are cut along it in {call.trace.where}"
    axes[dim].freeze(reason)
    axes[dim] = call.fresh(call.out.shape[dim], reason)
    return (*axes, call.fresh(call.out.shape[-1], reason))


@rule("diagonal", "diagonal_copy", "view_as_real", "view_as_complex", "_fft_r2c", "_fft_c2c", "_fft_c2r")
def mixed(call: Call) -> Axes:
    """Dimensions that keep their place and size pass; the others are frozen, and all that are transformed."""
    axes, shape = call.axes("self"), call.out.shape
    reason = f"{call.name} mixes its positions in {call.trace.where}"
    touched = set(call.dims("dim", len(axes))) if call.get("dim") is not None else set()
    result = []
    for place, size in enumerate(shape):
        if place < len(axes) and axes[place].size == size and place not in touched and call.name != "diagonal":
            result.append(axes[place])
        else:
            result.append(call.fresh(size, reason))
    for place, axis in enumerate(axes):
        if place >= len(result) or result[place] is not axis:
            axis.freeze(reason)
    return tuple(result)


@rule("pixel_shuffle", "pixel_unshuffle")
def pixel_shuffle(call: Call) -> Axes:
    """(…, C r², H, W) to (…, C, H r, W r), or back."""
    *batch, channels, height, width = call.axes("self")
    shape = call.out.shape
    if call.name == "pixel_shuffle":
        r = call["upscale_factor"]
        kept, spread = factorise(channels, shape[-3], r * r)
        down, right = factorise(spread, r, r)
        call.trace.freeze([spread], f"pixels are made of it in {call.trace.where}")
        return (*batch, kept, product(height, down), product(width, right))
    r = call["downscale_factor"]
    top, down = factorise(height, shape[-2], r)
    left, right = factorise(width, shape[-1], r)
    return (*batch, product(channels, down, right), top, left)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Axes:
    """(N, G · c, …) to (N, c · G, …)."""
    batch, channels, *rest = call.axes("self")
    outer, inner = factorise(channels, call["groups"], channels.size // call["groups"])
    outer.freeze(f"channels are shuffled by groups in {call.trace.where}")
    return (batch, product(inner, outer), *rest)
