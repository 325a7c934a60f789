"""Operators that work number by number."""

from __future__ import annotations

import math
from typing import Any

from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, sizes_of
from gossamer.deploy.engine.graph import Value
from gossamer.deploy.engine.rules.table import rule

_UNARY = {
    "relu": "relu",
    "relu_": "relu",
    "silu": "silu",
    "silu_": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "exp": "exp",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "abs": "absolute",
    "reciprocal": "reciprocal",
    "erf": "erf",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "hardswish_": "hard_swish",
    "relu6": "clamp",
}


@rule(*_UNARY)
def unary(b: Builder, node: Node, x: Value) -> Value:
    """A function of one number."""
    name = str(node.target).split(".")[1]
    q = 6.0 if name == "relu6" else 0.0
    return b.elementwise(_UNARY[name], x, size=x.size, q=q)


@rule("gelu")
def gelu(b: Builder, node: Node, x: Value, *, approximate: str = "none") -> Value:
    """X Φ(x), exactly or by tanh."""
    del node
    return b.elementwise("gelu" if approximate == "none" else "gelu_tanh", x, size=x.size)


@rule("leaky_relu")
def leaky_relu(b: Builder, node: Node, x: Value, slope: float = 0.01) -> Value:
    """`slope` times x below zero."""
    del node
    return b.elementwise("leaky", x, size=x.size, p=slope)


@rule("elu")
def elu(b: Builder, node: Node, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    """An exponential below zero: alpha (e^x - 1)."""
    del node
    if scale != 1.0 or input_scale != 1.0:
        raise Unsupported("scaled exponential units")
    return b.elementwise("elu", x, size=x.size, p=alpha)


@rule("clamp", "hardtanh")
def clamp(b: Builder, node: Node, x: Value, low: float | None = None, high: float | None = None) -> Value:
    """Between two bounds, each of which may be missing."""
    if str(node.target).startswith("aten.hardtanh"):
        low, high = -1.0 if low is None else low, 1.0 if high is None else high
    return b.elementwise(
        "clamp", x, size=x.size, p=-math.inf if low is None else float(low), q=math.inf if high is None else float(high)
    )


@rule("neg")
def neg(b: Builder, node: Node, x: Value) -> Value:
    """-x."""
    del node
    return b.elementwise("affine", x, size=x.size, p=-1.0)


@rule("add.Tensor", "add_.Tensor", "add.Scalar")
def add(b: Builder, node: Node, x: Value, y: Any, alpha: float = 1.0) -> Value:
    """X + alpha y."""
    return _sum(b, node, x, y, float(alpha))


@rule("sub.Tensor", "sub.Scalar")
def sub(b: Builder, node: Node, x: Value, y: Any, alpha: float = 1.0) -> Value:
    """X - alpha y."""
    return _sum(b, node, x, y, -float(alpha))


@rule("rsub.Scalar")
def rsub(b: Builder, node: Node, x: Value, y: float, alpha: float = 1.0) -> Value:
    """Y - alpha x."""
    del node
    return b.elementwise("affine", x, size=x.size, p=-float(alpha), q=float(y))


def _sum(b: Builder, node: Node, x: Value, y: Any, alpha: float) -> Value:
    if not isinstance(y, Value):
        return b.elementwise("affine", x, size=x.size, p=1.0, q=alpha * _number(y))
    if not isinstance(x, Value):
        return b.elementwise("affine", y, size=y.size, p=alpha, q=_number(x))
    size = sizes_of(node)
    if alpha == -1.0:
        return b.elementwise("subtract", x, y, size=size)
    scaled = y if alpha == 1.0 else b.elementwise("affine", y, size=y.size, p=alpha)
    return b.elementwise("add", x, scaled, size=size)


@rule("mul.Tensor", "mul_.Tensor", "mul.Scalar")
def mul(b: Builder, node: Node, x: Any, y: Any) -> Value:
    """The product of x and y."""
    if isinstance(x, Value) and isinstance(y, Value):
        return b.elementwise("multiply", x, y, size=sizes_of(node))
    value, number = (x, y) if isinstance(x, Value) else (y, x)
    return b.elementwise("affine", value, size=value.size, p=_number(number))


@rule("div.Tensor", "div.Scalar")
def div(b: Builder, node: Node, x: Value, y: Any) -> Value:
    """X / y."""
    if isinstance(y, Value):
        return b.elementwise("divide", x, y, size=sizes_of(node))
    return b.elementwise("affine", x, size=x.size, p=1.0 / _number(y))


@rule("maximum", "minimum")
def extreme(b: Builder, node: Node, x: Value, y: Value) -> Value:
    """The larger or the smaller of two numbers."""
    return b.elementwise(str(node.target).split(".")[1], x, y, size=sizes_of(node))


@rule("pow.Tensor_Scalar")
def power(b: Builder, node: Node, x: Value, exponent: float) -> Value:
    """X to a few powers."""
    del node
    known = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if float(exponent) not in known:
        raise Unsupported(f"the power {exponent}")
    return b.elementwise(known[float(exponent)], x, size=x.size)


@rule("addcmul")
def addcmul(b: Builder, node: Node, x: Value, y: Value, z: Value, *, value: float = 1.0) -> Value:
    """X + value y z."""
    size = sizes_of(node)
    scaled = b.elementwise("multiply", y, z, size=size)
    if value != 1.0:
        scaled = b.elementwise("affine", scaled, size=size, p=float(value))
    return b.elementwise("add", x, scaled, size=size)


@rule("lerp.Scalar")
def lerp(b: Builder, node: Node, x: Value, y: Value, weight: float) -> Value:
    """X + weight (y - x)."""
    size = sizes_of(node)
    left = b.elementwise("affine", x, size=x.size, p=1.0 - float(weight))
    right = b.elementwise("affine", y, size=y.size, p=float(weight))
    return b.elementwise("add", left, right, size=size)


@rule("dropout", "alias", "detach", "clone", "contiguous", "lift_fresh_copy", "_to_copy", "to.dtype", "detach_")
def passed(b: Builder, node: Node, x: Value, *settings: Any, **others: Any) -> Value:
    """What does nothing in prediction; a change of dtype has no kernel."""
    del b, settings, others
    if x.dtype is not node.meta["val"].dtype:
        raise Unsupported(f"{x.dtype} to {node.meta['val'].dtype}")
    return x


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise Unsupported("arithmetic with a size")
    return float(value)
