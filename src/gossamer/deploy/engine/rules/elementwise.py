"""Operators that work number by number."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, kind_of, sizes_of
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
    "log": "log",
    "sin": "sin",
    "cos": "cos",
    "floor": "floor",
    "round": "round",
    "square": "square",
}


@rule(*_UNARY)
def unary(b: Builder, node: Node, x: Value) -> Value:
    """A function of one number."""
    name = str(node.target).split(".")[1]
    q = 6.0 if name == "relu6" else 0.0
    return b.elementwise(_UNARY[name], x, size=x.size, q=q, dtype=kind_of(node))


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
    if input_scale != 1.0:
        raise Unsupported("exponential units of scaled numbers")
    found = b.elementwise("elu", x, size=x.size, p=alpha)
    return found if scale == 1.0 else b.elementwise("affine", found, size=x.size, p=scale)


@rule("log1p")
def log1p(b: Builder, node: Node, x: Value) -> Value:
    """Log(1 + x); what is lost near zero is below the rounding of 1."""
    del node
    return b.elementwise("log", b.elementwise("affine", x, size=x.size, p=1.0, q=1.0), size=x.size)


@rule("expm1")
def expm1(b: Builder, node: Node, x: Value) -> Value:
    """E^x - 1; what is lost near zero is below the rounding of 1."""
    del node
    return b.elementwise("affine", b.elementwise("exp", x, size=x.size), size=x.size, p=1.0, q=-1.0)


@rule("clamp", "hardtanh", "clamp_min")
def clamp(
    b: Builder, node: Node, x: Value, low: float | None = None, high: float | None = None, **names: float | None
) -> Value:
    """Between two bounds, each of which may be missing."""
    low, high = names.get("min", low), names.get("max", high)
    if str(node.target).startswith("aten.hardtanh"):
        low, high = -1.0 if low is None else low, 1.0 if high is None else high
    p, q = -math.inf if low is None else float(low), math.inf if high is None else float(high)
    return b.elementwise("clamp", x, size=x.size, p=p, q=q, dtype=kind_of(node))


@rule("clamp.Tensor")
def clamp_between(b: Builder, node: Node, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """Between bounds that are values."""
    size, dtype = sizes_of(node), kind_of(node)
    found = x if low is None else b.elementwise("maximum", x, low, size=size, dtype=dtype)
    return found if high is None else b.elementwise("minimum", found, high, size=size, dtype=dtype)


@rule("clamp_max")
def clamp_max(b: Builder, node: Node, x: Value, high: float) -> Value:
    """At most a bound."""
    return clamp(b, node, x, None, high)


@rule("neg")
def neg(b: Builder, node: Node, x: Value) -> Value:
    """-x."""
    return b.elementwise("affine", x, size=x.size, p=-1.0, dtype=kind_of(node))


@rule("add.Tensor", "add_.Tensor", "add.Scalar")
def add(b: Builder, node: Node, x: Any, y: Any, alpha: float = 1) -> Value:
    """X + alpha y."""
    return _sum(b, node, x, y, alpha)


@rule("sub.Tensor", "sub.Scalar")
def sub(b: Builder, node: Node, x: Any, y: Any, alpha: float = 1) -> Value:
    """X - alpha y."""
    return _sum(b, node, x, y, -_number(alpha))


@rule("rsub.Scalar", "rsub.Tensor")
def rsub(b: Builder, node: Node, x: Value, y: Any, alpha: float = 1) -> Value:
    """Y - alpha x."""
    return _sum(b, node, y, x, -_number(alpha))


def _sum(b: Builder, node: Node, x: Any, y: Any, alpha: float) -> Value:
    dtype, size = kind_of(node), sizes_of(node)
    if dtype is torch.bool:
        return b.elementwise("maximum", x, y, size=size, dtype=dtype)
    if not isinstance(y, Value):
        return b.elementwise("affine", x, size=size, p=1.0, q=alpha * _number(y), dtype=dtype)
    if not isinstance(x, Value):
        return b.elementwise("affine", y, size=size, p=alpha, q=_number(x), dtype=dtype)
    if alpha == -1:
        return b.elementwise("subtract", x, y, size=size, dtype=dtype)
    scaled = y if alpha == 1 else b.elementwise("affine", y, size=y.size, p=alpha, dtype=dtype)
    return b.elementwise("add", x, scaled, size=size, dtype=dtype)


@rule("mul.Tensor", "mul_.Tensor", "mul.Scalar")
def mul(b: Builder, node: Node, x: Any, y: Any) -> Value:
    """The product of x and y."""
    size, dtype = sizes_of(node), kind_of(node)
    if isinstance(x, Value) and isinstance(y, Value):
        return b.elementwise("multiply", x, y, size=size, dtype=dtype)
    value, number = (x, y) if isinstance(x, Value) else (y, x)
    return b.elementwise("affine", value, size=size, p=_number(number), dtype=dtype)


@rule("div.Tensor", "div.Scalar")
def div(b: Builder, node: Node, x: Value, y: Any) -> Value:
    """X / y."""
    size, dtype = sizes_of(node), kind_of(node)
    if isinstance(y, Value):
        return b.elementwise("divide", x, y, size=size, dtype=dtype)
    return b.elementwise("affine", x, size=size, p=1.0 / _number(y), dtype=dtype)


@rule("floor_divide", "div.Tensor_mode", "div.Scalar_mode")
def floor_divide(b: Builder, node: Node, x: Value, y: Any, *, rounding_mode: str | None = "floor") -> Value:
    """X / y, rounded down."""
    if rounding_mode != "floor":
        raise Unsupported("quotients that are rounded towards zero")
    size, dtype = sizes_of(node), kind_of(node)
    rest = b.elementwise("remainder", x, _spread(b, y, x), size=size, dtype=dtype)
    whole = b.elementwise("subtract", x, rest, size=size, dtype=dtype)
    return b.elementwise("divide", whole, _spread(b, y, x), size=size, dtype=dtype)


@rule("remainder.Scalar", "remainder.Tensor", "pow.Tensor_Tensor", "maximum", "minimum")
def of_two(b: Builder, node: Node, x: Value, y: Any) -> Value:
    """A function of two numbers."""
    name = str(node.target).split(".")[1]
    what = {"pow": "power"}.get(name, name)
    return b.elementwise(what, x, _spread(b, y, x), size=sizes_of(node), dtype=kind_of(node))


@rule("pow.Tensor_Scalar")
def power(b: Builder, node: Node, x: Value, exponent: float) -> Value:
    """X to a power; a few have operators of their own."""
    known = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    size, dtype = sizes_of(node), kind_of(node)
    if float(exponent) in known:
        return b.elementwise(known[float(exponent)], x, size=size, dtype=dtype)
    if float(exponent) == 3.0:
        square = b.elementwise("square", x, size=size, dtype=dtype)
        return b.elementwise("multiply", square, x, size=size, dtype=dtype)
    return b.elementwise("power", x, b.filled(float(exponent), size), size=size, dtype=dtype)


@rule("pow.Scalar")
def power_of(b: Builder, node: Node, base: float, x: Value) -> Value:
    """A number to the power x."""
    size = sizes_of(node)
    return b.elementwise("power", b.filled(float(base), size), x, size=size, dtype=kind_of(node))


@rule("softplus")
def softplus(b: Builder, node: Node, x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """Log(1 + e^(beta x)) / beta, and x itself above a threshold."""
    del node
    return b.elementwise("softplus", x, size=x.size, p=float(beta), q=float(threshold))


def _spread(b: Builder, y: Any, like: Value) -> Value:
    return y if isinstance(y, Value) else b.filled(y, like.size, like.dtype if isinstance(y, int) else torch.float32)


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


@rule("dropout", "alias", "detach", "clone", "contiguous", "lift_fresh_copy", "detach_")
def passed(b: Builder, node: Node, x: Value, *settings: Any, **others: Any) -> Value:
    """What does nothing in prediction."""
    del b, node, settings, others
    return x


@rule("_to_copy", "to.dtype", "type_as")
def convert(b: Builder, node: Node, x: Value, *settings: Any, **others: Any) -> Value:
    """The same numbers as another kind."""
    del settings, others
    return b.converted(x, kind_of(node))


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise Unsupported("arithmetic with a size")
    return value
