"""Means, sums and maxima over axes, softmax, and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, kind_of, size_of, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value, product
from gossamer.deploy.engine.rules.table import rule

_KINDS = {"sum": 0, "mean": 1, "amax": 2}


@rule("mean.dim", "sum.dim_IntList", "amax", "mean", "sum")
def reduce(
    b: Builder, node: Node, x: Value, axes: Sequence[int] | int | None = None, keep: bool = False, **_: Any
) -> Value:
    """A reduction; axes that are not side by side are brought there."""
    del keep
    kind = _KINDS[str(node.target).split(".")[1]]
    if kind != _KINDS["amax"] and kind_of(node) is torch.int64 and x.dtype in (torch.bool, torch.int32, torch.int64):
        return b.converted(_reduced(b, b.converted(x, torch.float32), axes, sizes_of(node), kind), torch.int64)
    return _reduced(b, x, axes, sizes_of(node), kind)


@rule("amin")
def smallest(b: Builder, node: Node, x: Value, axes: Sequence[int] = (), keep: bool = False) -> Value:
    """The smallest number: of the negated, the largest."""
    del keep
    negated = b.elementwise("affine", x, size=x.size, p=-1.0)
    size = sizes_of(node)
    return b.elementwise("affine", _reduced(b, negated, axes, size, _KINDS["amax"]), size=size, p=-1.0)


@rule("max.dim", "min.dim")
def extreme(b: Builder, node: Node, x: Value, axis: int, keep: bool = False) -> list[Value]:
    """The largest or the smallest number and its place."""
    del keep
    values, _ = node.meta["val"]
    size = tuple(size_of(one) for one in values.shape)
    least = "min" in str(node.target).split(".")[1]
    signed = b.elementwise("affine", x, size=x.size, p=-1.0) if least else x
    found = _reduced(b, signed, [axis], size, _KINDS["amax"])
    if least:
        found = b.elementwise("affine", found, size=size, p=-1.0)
    place = Step("argmax", [x], [b.result(size, torch.int64)], sizes=[axis % len(x.size), int(least)])
    return [found, b.add(place)]


@rule("any", "any.dim", "any.dims", "all", "all.dim", "all.dims")
def truths(b: Builder, node: Node, x: Value, axes: Any = None, keep: bool = False) -> Value:
    """Whether one holds, or all do."""
    del keep
    every = str(node.target).split(".")[1] == "all"
    size = sizes_of(node)
    holds = b.elementwise("equal" if every else "not_equal", x, b.filled(0, x.size), size=x.size, dtype=torch.float32)
    found = _reduced(b, holds, axes, size, _KINDS["amax"])
    return b.elementwise("equal", found, b.filled(0.0 if every else 1.0, size), size=size, dtype=torch.bool)


@rule("var.correction", "std.correction", "var_mean.correction")
def variance(
    b: Builder,
    node: Node,
    x: Value,
    axes: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Value | list[Value]:
    """The mean square of what is left when the mean is taken off, times n / (n - correction)."""
    wanted = sorted(axis % len(x.size) for axis in (axes or range(len(x.size))))
    count = product(x.size[axis] for axis in wanted)
    if not isinstance(count, int):
        raise Unsupported("variances of any number of numbers")
    kept = [1 if axis in wanted else one for axis, one in enumerate(x.size)]
    size = kept if keepdim else [one for axis, one in enumerate(x.size) if axis not in wanted]
    mean = _reduced(b, x, wanted, kept, _KINDS["mean"])
    centred = b.elementwise("subtract", x, mean, size=x.size)
    squares = _reduced(b, b.elementwise("square", centred, size=x.size), wanted, size, _KINDS["mean"])
    free = count - (1.0 if correction is None else float(correction))
    found = b.elementwise("affine", squares, size=size, p=count / free if free > 0 else math.inf)
    name = str(node.target).split(".")[1]
    if name == "std":
        return b.elementwise("sqrt", found, size=size)
    return [found, b.reshaped(mean, size)] if name == "var_mean" else found


@rule("linalg_vector_norm")
def vector_norm(
    b: Builder, node: Node, x: Value, order: float = 2, axes: Sequence[int] | None = None, keep: bool = False, **_: Any
) -> Value:
    """The root of the sum of squares, the sum of sizes, or the largest size."""
    del keep
    size = sizes_of(node)
    if order == 2:
        squares = b.elementwise("square", x, size=x.size)
        return b.elementwise("sqrt", _reduced(b, squares, axes, size, _KINDS["sum"]), size=size)
    if order not in (1, math.inf):
        raise Unsupported(f"norms of order {order}")
    absolute = b.elementwise("absolute", x, size=x.size)
    return _reduced(b, absolute, axes, size, _KINDS["sum" if order == 1 else "amax"])


def _reduced(b: Builder, x: Value, axes: Sequence[int] | int | None, size: Sequence[Size], kind: int) -> Value:
    if x.dtype is not torch.float32:
        raise Unsupported(f"reductions of {x.dtype}")
    given = [axes] if isinstance(axes, int) else axes or range(len(x.size))
    wanted = sorted(axis % len(x.size) for axis in given)
    if not wanted:
        return b.reshaped(x, size)
    if wanted != list(range(wanted[0], wanted[0] + len(wanted))):
        order = [axis for axis in range(len(x.size)) if axis not in wanted] + wanted
        x = b.view(x, [x.size[i] for i in order], [x.strides[i] for i in order])
        wanted = list(range(len(order) - len(wanted), len(order)))
    return b.add(Step("reduce", [b.contiguous(x)], [b.result(size)], sizes=[wanted[0], len(wanted), kind]))


@rule("adaptive_avg_pool2d", "adaptive_avg_pool1d")
def adaptive(b: Builder, node: Node, x: Value, size: Sequence[int]) -> Value:
    """The mean of each channel, or of windows of one size or of nearly one."""
    axes = len(size)
    if all(one == 1 for one in size):
        kept = b.result(sizes_of(node))
        return b.add(Step("reduce", [b.contiguous(x)], [kept], sizes=[len(x.size) - axes, axes, 1]))
    spatial = x.size[-axes:]
    if not all(isinstance(one, int) for one in spatial):
        raise Unsupported("adaptive pooling of images of any size")
    if axes == 2 and all(s % o == 0 for s, o in zip(spatial, size, strict=True)):
        window = [s // o for s, o in zip(spatial, size, strict=True)]
        return _pool(b, node, x, window, window, (0, 0), mean=True)
    matrices = [
        torch.nn.functional.adaptive_avg_pool1d(torch.eye(s)[None], o)[0].t()
        for s, o in zip(spatial, size, strict=True)
    ]
    return along_axes(b, x, matrices)


def along_axes(b: Builder, x: Value, matrices: Sequence[Tensor]) -> Value:
    """Maps the last axes of a value linearly, one by one; each matrix is (new size, old size)."""
    axes, count = len(x.size), len(matrices)
    for place, matrix in enumerate(matrices):
        last = [*range(axes)]
        at = axes - count + place
        last[at], last[-1] = last[-1], last[at]
        turned = b.contiguous(b.view(x, [x.size[i] for i in last], [x.strides[i] for i in last]))
        out = b.result((*turned.size[:-1], len(matrix)))
        b.add(Step("linear", [turned], [out], weight=matrix.float().contiguous()))
        x = b.view(out, [out.size[i] for i in last], [out.strides[i] for i in last])
    return x


@rule("max_pool2d", "max_pool1d")
def max_pool(
    b: Builder,
    node: Node,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil: bool = False,
) -> Value:
    """The largest number of each window."""
    del ceil
    if any(one != 1 for one in dilation):
        raise Unsupported("dilated pooling")
    return _pool(b, node, x, kernel, stride or kernel, padding, mean=False)


@rule("avg_pool2d", "avg_pool1d")
def avg_pool(
    b: Builder,
    node: Node,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil: bool = False,
    padded: bool = True,
    divisor: int | None = None,
) -> Value:
    """The mean of each window."""
    del ceil
    if divisor is not None:
        raise Unsupported("means by another divisor")
    return _pool(b, node, x, kernel, stride or kernel, padding, mean=True, padded=padded)


def _pool(
    b: Builder,
    node: Node,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    *,
    mean: bool,
    padded: bool = False,
) -> Value:
    size = sizes_of(node)
    if "pool1d" in str(node.target):
        image = b.reshaped(x, (*x.size[:-1], 1, x.size[-1]))
        out = b.result((*size[:-1], 1, size[-1]))
        sizes = [1, kernel[0], 1, stride[0], 0, padding[0], int(mean), int(padded)]
        return b.reshaped(b.add(Step("pool", [image], [out], sizes=sizes)), size)
    sizes = [n for one in (kernel, stride, padding) for n in [*one, *one][:2]]
    sizes += [int(mean), int(padded)]
    return b.add(Step("pool", [b.contiguous(x)], [b.result(size)], sizes=sizes))


@rule("_log_softmax", "log_softmax.int")
def log_softmax(b: Builder, node: Node, x: Value, axis: int, *settings: Any) -> Value:
    """X less the logarithm of the sum of e^x, with the largest taken off first."""
    del node, settings
    axis %= len(x.size)
    kept = [*x.size[:axis], 1, *x.size[axis + 1 :]]
    centred = b.elementwise("subtract", x, _reduced(b, x, [axis], kept, _KINDS["amax"]), size=x.size)
    total = _reduced(b, b.elementwise("exp", centred, size=x.size), [axis], kept, _KINDS["sum"])
    return b.elementwise("subtract", centred, b.elementwise("log", total, size=kept), size=x.size)


@rule("softmax.int", "_softmax", "_safe_softmax")
def softmax(b: Builder, node: Node, x: Value, axis: int, *settings: Any) -> Value:
    """e^x over its sum, along the last axis or, turned, another one."""
    del node, settings
    last = len(x.size) - 1
    if axis % len(x.size) != last:
        turned = list(range(len(x.size)))
        turned[axis], turned[last] = turned[last], turned[axis]
        moved = b.view(x, [x.size[i] for i in turned], [x.strides[i] for i in turned])
        rows = b.add(Step("softmax", [b.contiguous(moved)], [b.result(moved.size)]))
        return b.view(rows, x.size, [rows.strides[i] for i in turned])
    return b.add(Step("softmax", [b.contiguous(x)], [b.result(x.size)]))
