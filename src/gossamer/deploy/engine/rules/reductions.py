"""Means, sums and maxima over axes, softmax, and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, sizes_of
from gossamer.deploy.engine.graph import Step, Value
from gossamer.deploy.engine.rules.table import rule

_KINDS = {"sum": 0, "mean": 1, "amax": 2}


@rule("mean.dim", "sum.dim_IntList", "amax")
def reduce(b: Builder, node: Node, x: Value, axes: Sequence[int] | None = None, keep: bool = False, **_: Any) -> Value:
    """A reduction of neighbouring axes."""
    del keep
    wanted = sorted(axis % len(x.size) for axis in (axes or range(len(x.size))))
    if wanted != list(range(wanted[0], wanted[0] + len(wanted))) or x.dtype is not torch.float32:
        raise Unsupported("reductions of axes that are not side by side")
    out = b.result(sizes_of(node))
    kind = _KINDS[str(node.target).split(".")[1]]
    return b.add(Step("reduce", [b.contiguous(x)], [out], sizes=[wanted[0], len(wanted), kind]))


@rule("adaptive_avg_pool2d", "adaptive_avg_pool1d")
def adaptive(b: Builder, node: Node, x: Value, size: Sequence[int]) -> Value:
    """The mean of each channel; other sizes of the result where they divide that of the image."""
    axes = len(size)
    if all(one == 1 for one in size):
        kept = b.result(sizes_of(node))
        return b.add(Step("reduce", [b.contiguous(x)], [kept], sizes=[len(x.size) - axes, axes, 1]))
    spatial = x.size[-axes:]
    if axes != 2 or not all(isinstance(s, int) and s % o == 0 for s, o in zip(spatial, size, strict=True)):
        raise Unsupported("adaptive pooling to a size that does not divide")
    window = [s // o for s, o in zip(spatial, size, strict=True)]
    return _pool(b, node, x, window, window, (0, 0), mean=True)


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


@rule("avg_pool2d")
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
    if str(node.target).startswith("aten.max_pool1d"):
        image = b.reshaped(x, (*x.size[:-1], 1, x.size[-1]))
        out = b.result((*size[:-1], 1, size[-1]))
        sizes = [1, kernel[0], 1, stride[0], 0, padding[0], 0, 0]
        return b.reshaped(b.add(Step("pool", [image], [out], sizes=sizes)), size)
    sizes = [n for one in (kernel, stride, padding) for n in [*one, *one][:2]]
    sizes += [int(mean), int(padded)]
    return b.add(Step("pool", [b.contiguous(x)], [b.result(size)], sizes=sizes))


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
