"""Convolutions beyond the plain one, images made larger or smaller, and images cut into patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value
from gossamer.deploy.engine.rules.layers import convolved, floats, floats_or_none
from gossamer.deploy.engine.rules.reductions import along_axes
from gossamer.deploy.engine.rules.table import rule


@rule("conv1d.padding", "conv2d.padding")
def padded_convolution(
    b: Builder,
    node: Node,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: str = "valid",
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """A convolution whose result is as large as the image.

    Where one side has a zero more, both get it, and the result is cut.
    """
    kernel, count = floats(weight), len(x.size) - 2
    dilation = _each(dilation, count)
    total = (
        [0] * count
        if padding == "valid"
        else [step * (size - 1) for step, size in zip(dilation, kernel.shape[-count:], strict=True)]
    )
    sides = [one - one // 2 for one in total]
    extra = [2 * side - one for side, one in zip(sides, total, strict=True)]
    size = sizes_of(node)
    wide = [*size[:2], *(one + more for one, more in zip(size[2:], extra, strict=True))]
    out = convolved(b, x, kernel, floats_or_none(bias), wide, _each(stride, count), sides, dilation, groups)
    return b.view(out, size, out.strides, sum(more * step for more, step in zip(extra, out.strides[2:], strict=True)))


@rule("conv_transpose1d", "conv_transpose2d.input")
def transposed_convolution(
    b: Builder,
    node: Node,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Value:
    """A transposed convolution, as plain ones on the image: one for each place a result can have between two strides.

    The result at y sums x[i] w[y + padding - stride · i]. With y + padding = stride · q + r it is a convolution at q
    with the taps r, r + stride, ... in reverse.
    """
    del output_padding  # the size of the result tells
    size, count = sizes_of(node), len(x.size) - 2
    kernel = floats(weight)
    strides, paddings = _each(stride, count), _each(padding, count)
    if any(one != 1 for one in dilation) or not all(isinstance(one, int) for one in (*x.size[2:], *size[2:])):
        raise Unsupported("transposed convolutions that are dilated, or of images of any size")
    grouped = kernel.reshape(groups, len(kernel) // groups, *kernel.shape[1:])
    turned = grouped.transpose(1, 2).flatten(0, 1)  # (outputs, channels / groups, ...)
    numbers = floats_or_none(bias)
    out = b.result(size)
    for phase in _product([range(one) for one in strides]):
        every: list[Any] = [slice(first, None, step) for first, step in zip(phase, strides, strict=True)]
        taps = turned[(..., *every)]
        phases = [
            _Phase(first, step, pad, length, result, taps.shape[2 + axis])
            for axis, (first, step, pad, length, result) in enumerate(
                zip(phase, strides, paddings, x.size[2:], size[2:], strict=True)
            )
        ]
        if not all(one.count for one in phases):
            continue
        steps = [one * step for one, step in zip(out.strides[2:], strides, strict=True)]
        offset = sum(one.start * step for one, step in zip(phases, out.strides[2:], strict=True))
        part = [*size[:2], *(one.count for one in phases)]
        to = b.view(out, part, [*out.strides[:2], *steps], offset)
        if taps.numel() == 0:
            made = b.filled(0.0, part) if numbers is None else _channels(b, numbers, part)
        else:
            wide = [*size[:2], *(one.made for one in phases)]
            flipped = taps.flip([*range(2, 2 + count)]).contiguous()
            sides = [one.sides for one in phases]
            whole = convolved(b, x, flipped, numbers, wide, [1] * count, sides, [1] * count, groups)
            cut = sum(one.cut * step for one, step in zip(phases, whole.strides[2:], strict=True))
            made = b.view(whole, part, whole.strides, cut)
        b.add(Step("copy", [made], [to]))
    return out


class _Phase:
    """Along one axis, the results whose place plus padding leaves `first` when divided by the stride.

    Attributes:
        start: Their first place.
        count: How many there are.
        sides: Zeros on both sides of the image that their convolution needs.
        made: How many results that has.
        cut: Where theirs begin among these.
    """

    def __init__(self, first: int, stride: int, padding: int, length: int, result: int, taps: int) -> None:
        self.start = (first - padding) % stride
        self.count = max(-((self.start - result) // stride), 0)
        left = taps - 1 - (self.start + padding - first) // stride
        right = self.count - length - left + taps - 1
        self.sides = max(left, right, 0)
        self.made = length + 2 * self.sides - taps + 1
        self.cut = self.sides - left


@rule(
    "upsample_nearest1d.vec", "upsample_nearest2d.vec", "_upsample_nearest_exact1d.vec", "_upsample_nearest_exact2d.vec"
)
@rule("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_bicubic2d.vec", "_upsample_bilinear2d_aa.vec")
def resized(b: Builder, node: Node, x: Value, size: Sequence[int] | None, *settings: Any) -> Value:
    """An image in another size: a linear map of its rows and one of its columns, or each number repeated."""
    axes, wanted = len(x.size) - 2, sizes_of(node)[2:]
    old = x.size[2:]
    if not all(isinstance(one, int) for one in (*old, *wanted)):
        raise Unsupported("other sizes for images of any size")
    if "nearest" in str(node.target) and all(new % one == 0 for new, one in zip(wanted, old, strict=True)):
        return _repeated(b, x, [new // one for new, one in zip(wanted, old, strict=True)], wanted)
    scales = settings[-1]
    matrices = []
    for axis, (one, new) in enumerate(zip(old, wanted, strict=True)):
        image = torch.eye(one).reshape(1, one, *[1] * (axes - 1), one)  # a channel for each place; other axes of one
        target = [*[1] * (axes - 1), new]
        factors = None if scales is None else [*[1.0] * (axes - 1), float(scales[axis])]
        call: Any = node.target
        made = call(image, None if size is None else target, *settings[:-1], factors)
        matrices.append(made.reshape(one, new).t())
    return along_axes(b, x, matrices)


def _repeated(b: Builder, x: Value, times: Sequence[int], wanted: Sequence[Size]) -> Value:
    size, strides = [*x.size[:2]], [*x.strides[:2]]
    for one, step, many in zip(x.size[2:], x.strides[2:], times, strict=True):
        size += [one, many]
        strides += [step, 0]
    return b.reshaped(b.view(x, size, strides), (*x.size[:2], *wanted))


@rule("im2col")
def patches(
    b: Builder,
    node: Node,
    x: Value,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """Windows side by side: the image in another order."""
    rows, columns = _grid(x.size, kernel, dilation, padding, stride)
    split = b.view(
        b.contiguous(x),
        (*x.size[:2], rows, kernel[0], columns, kernel[1]),
        (*x.strides[:2], kernel[0] * x.size[3], x.size[3], kernel[1], 1),
    )
    order = (0, 1, 3, 5, 2, 4)
    turned = b.view(split, [split.size[i] for i in order], [split.strides[i] for i in order])
    return b.reshaped(turned, sizes_of(node))


@rule("col2im")
def unpatched(
    b: Builder,
    node: Node,
    x: Value,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """Windows side by side put back into an image."""
    whole = sizes_of(node)
    rows, columns = _grid(whole, kernel, dilation, padding, stride)
    split = b.reshaped(x, (*whole[:2], kernel[0], kernel[1], rows, columns))
    order = (0, 1, 4, 2, 5, 3)
    turned = b.view(split, [split.size[i] for i in order], [split.strides[i] for i in order])
    return b.reshaped(turned, whole)


def _grid(
    size: Sequence[Size], kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> tuple[int, int]:
    plain = list(kernel) == list(stride) and all(one == 1 for one in dilation) and not any(padding)
    if not plain or not all(isinstance(one, int) and one % k == 0 for one, k in zip(size[2:], kernel, strict=True)):
        raise Unsupported("windows that overlap or leave something out")
    return size[2] // kernel[0], size[3] // kernel[1]


def _channels(b: Builder, numbers: Tensor, size: Sequence[Size]) -> Value:
    """Returns one number for each channel, spread over images."""
    return b.view(b.constant(numbers), size, [0, 1, *[0] * (len(size) - 2)])


def _each(setting: Sequence[int], count: int) -> list[int]:
    return [*setting, *setting][:count]


def _product(ranges: Sequence[range]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    for one in ranges:
        found = [(*first, last) for first in found for last in one]
    return found
