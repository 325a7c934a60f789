"""Comparisons, choices between numbers, and values that are made of numbers alone: masks and positions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, kind_of, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value
from gossamer.deploy.engine.rules.table import rule

_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_TRUTHS = {"and": "multiply", "or": "maximum", "xor": "not_equal"}


@rule(*(f"{name}.{overload}" for name in _COMPARISONS for overload in ("Tensor", "Scalar")))
def compare(b: Builder, node: Node, x: Value, y: Any) -> Value:
    """Whether each number is so much."""
    what = _COMPARISONS[str(node.target).split(".")[1]]
    return b.elementwise(what, x, _value(b, y, x), size=sizes_of(node), dtype=torch.bool)


@rule("logical_and", "logical_or", "logical_xor", "bitwise_and.Tensor", "bitwise_or.Tensor", "bitwise_xor.Tensor")
@rule("__and__.Tensor", "__or__.Tensor", "__xor__.Tensor")
def both(b: Builder, node: Node, x: Value, y: Value) -> Value:
    """Truths joined."""
    if x.dtype is not torch.bool or y.dtype is not torch.bool:
        raise Unsupported("bits of integers")
    what = _TRUTHS[str(node.target).split(".")[1].strip("_").removeprefix("logical_").removeprefix("bitwise_")]
    return b.elementwise(what, x, y, size=sizes_of(node), dtype=torch.bool)


@rule("logical_not", "bitwise_not")
def negated(b: Builder, node: Node, x: Value) -> Value:
    """Truths turned round."""
    if x.dtype is not torch.bool:
        raise Unsupported("bits of integers")
    return b.elementwise("equal", x, b.filled(0, x.size), size=sizes_of(node), dtype=torch.bool)


@rule("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(b: Builder, node: Node, condition: Value, yes: Any, no: Any) -> Value:
    """One of two numbers."""
    size, dtype = sizes_of(node), kind_of(node)
    return b.chosen(condition, _value(b, yes, condition), _value(b, no, condition), size, dtype)


@rule("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(b: Builder, node: Node, x: Value, mask: Value, number: Any) -> Value:
    """A number where a mask holds."""
    return b.chosen(mask, _value(b, number, mask), x, sizes_of(node), kind_of(node))


@rule("isnan")
def isnan(b: Builder, node: Node, x: Value) -> Value:
    """Whether it is not equal to itself."""
    return b.elementwise("not_equal", x, x, size=sizes_of(node), dtype=torch.bool)


@rule("isinf")
def isinf(b: Builder, node: Node, x: Value) -> Value:
    """Whether its size is infinite."""
    size = sizes_of(node)
    absolute = b.elementwise("absolute", x, size=size, dtype=x.dtype)
    return b.elementwise("equal", absolute, b.filled(math.inf, size), size=size, dtype=torch.bool)


@rule("full", "full_like", "new_full", "fill.Scalar")
def full(b: Builder, node: Node, *given: Any, **settings: Any) -> Value:
    """One number, everywhere."""
    del settings
    name = str(node.target).split(".")[1]
    number = given[2] if name == "new_full" else given[1]
    if not isinstance(number, int | float):
        raise Unsupported("a value filled with a size")
    return b.filled(number, sizes_of(node), kind_of(node))


@rule("zeros", "ones", "zeros_like", "ones_like", "new_zeros", "new_ones", "empty.memory_format", "new_empty")
def constant(b: Builder, node: Node, *given: Any, **settings: Any) -> Value:
    """Zeros or ones."""
    del given, settings
    return b.filled(int("ones" in str(node.target)), sizes_of(node), kind_of(node))


@rule("arange", "arange.start", "arange.start_step")
def arange(b: Builder, node: Node, *given: Any, **settings: Any) -> Value:
    """Positions: running sums of ones."""
    del settings
    start, step = (given[0] if len(given) > 1 else 0), (given[2] if len(given) > 2 else 1)
    if not isinstance(start, int) or not isinstance(step, int):
        raise Unsupported("positions from a size on")
    size, dtype = sizes_of(node), kind_of(node)
    if dtype not in (torch.int64, torch.int32, torch.float32):
        raise Unsupported(f"positions of {dtype}")
    places = b.add(Step("scan", [b.filled(1, size, torch.int64)], [b.result(size, torch.int64)], sizes=[0]))
    return b.elementwise("affine", places, size=size, p=float(step), q=float(start - step), dtype=dtype)


@rule("cumsum")
def cumsum(b: Builder, node: Node, x: Value, axis: int, **settings: Any) -> Value:
    """Running sums."""
    del settings
    if not x.size:
        raise Unsupported("running sums of one number")
    return b.add(Step("scan", [x], [b.result(sizes_of(node), kind_of(node))], sizes=[axis % len(x.size)]))


@rule("argmax", "argmin")
def argmax(b: Builder, node: Node, x: Value, axis: int | None = None, keep: bool = False) -> Value:
    """The place of the largest or the smallest number."""
    del keep
    least = int("argmin" in str(node.target))
    if axis is None:
        total: Size = 1
        for one in x.size:
            total = total * one
        x, axis = b.reshaped(x, (total,)), 0
    out = b.result(sizes_of(node), torch.int64)
    return b.add(Step("argmax", [x], [out], sizes=[axis % len(x.size), least]))


def _value(b: Builder, y: Any, like: Value) -> Value:
    """Returns a number as a value that is broadcast to anything, of floats if it is one."""
    if isinstance(y, Value):
        return y
    if not isinstance(y, int | float):
        raise Unsupported("a comparison with a size")
    return b.filled(y, [1] * max(len(like.size), 1), torch.int64 if isinstance(y, int) else torch.float32)
