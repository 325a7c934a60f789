"""Linear layers, convolutions, norms and attention between tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value, same
from gossamer.deploy.engine.rules.table import rule


@rule("linear")
def linear(b: Builder, node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """A product with stored weights, or of two activations."""
    if weight.kind != "constant":
        turned = b.view(weight, weight.size[::-1], weight.strides[::-1])
        out = matmul(b, node, x, turned)
        return out if bias is None else b.elementwise("add", out, bias, size=out.size)
    matrix = floats(weight)
    out = b.result(sizes_of(node))
    return b.add(Step("linear", [b.contiguous(x)], [out], weight=matrix, bias=floats_or_none(bias)))


@rule("addmm")
def addmm(b: Builder, node: Node, bias: Value, x: Value, weight: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    """Bias + x weight."""
    if beta != 1 or alpha != 1:
        raise Unsupported("scaled sums of products")
    if weight.kind == "constant" and bias.kind == "constant" and len(bias.size) == 1:
        out = b.result(sizes_of(node))
        return b.add(Step("linear", [b.contiguous(x)], [out], weight=floats(weight).t(), bias=floats_or_none(bias)))
    out = matmul(b, node, x, weight)
    return b.elementwise("add", out, bias, size=out.size)


@rule("mm", "bmm", "matmul")
def matmul(b: Builder, node: Node, left: Value, right: Value) -> Value:
    """A product of activations, or with a constant on the right."""
    if right.kind == "constant" and len(right.size) == 2 and len(left.size) >= 2:
        size = (*left.size[:-1], right.size[1])
        return b.add(Step("linear", [b.contiguous(left)], [b.result(size)], weight=floats(right).t()))
    if min(len(left.size), len(right.size)) < 2 or max(len(left.size), len(right.size)) > 4:
        raise Unsupported("products of vectors or of more than four axes")
    size = sizes_of(node)
    if len(size) < 2:
        raise Unsupported("products of vectors")
    size = (*size[:-2], left.size[-2], right.size[-1])
    return b.add(Step("matmul", [left, right], [b.result(size)], numbers=[1.0]))


@rule("scaled_dot_product_attention")
def attention(
    b: Builder,
    node: Node,
    q: Value,
    k: Value,
    v: Value,
    mask: Value | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Attention between tokens, in one pass."""
    if dropout or not 2 <= len(q.size) <= 4:
        raise Unsupported("attention with dropout or more than four axes")
    if mask is not None and mask.dtype is torch.bool:
        if mask.kind == "constant" and mask.data is not None:
            mask = b.constant(torch.zeros(mask.data.shape).masked_fill(~mask.data, -math.inf))
        else:
            one = [1] * len(mask.size)
            mask = b.chosen(mask, b.filled(0.0, one), b.filled(-math.inf, one), mask.size, torch.float32)
    factor = 1.0 / math.sqrt(q.size[-1]) if scale is None else float(scale)
    size = sizes_of(node)
    if enable_gqa and not same(q.size[1], k.size[1]):
        q, k, v, mask = _grouped(b, q, k, v, mask)
    inputs: list[Value | None] = [q, k, v, mask]
    out = b.result((*q.size[:-1], v.size[-1]))
    b.add(Step("attention", inputs, [out], sizes=[int(causal)], numbers=[factor]))
    return b.reshaped(out, size)


def _grouped(b: Builder, q: Value, k: Value, v: Value, mask: Value | None) -> tuple[Value, Value, Value, Value | None]:
    """Makes a batch of each head of the keys, which all its heads of the queries share: (batch · heads, group, ...)."""
    batch, heads = k.size[:2]
    if len(q.size) != 4 or not isinstance(heads, int) or not isinstance(q.size[1], int):
        raise Unsupported("grouped heads of any number")
    group = q.size[1] // heads
    q = b.reshaped(q, (batch * heads, group, *q.size[2:]))
    k, v = (b.reshaped(one, (batch * heads, 1, *one.size[2:])) for one in (k, v))
    if mask is not None and len(mask.size) == 4 and (mask.size[0] != 1 or mask.size[1] != 1):
        if mask.size[1] != 1:
            own = (mask.size[0], heads, group, *mask.size[2:])
            strides = (mask.strides[0], mask.strides[1] * group, *mask.strides[1:])
        else:
            own = (mask.size[0], heads, 1, *mask.size[2:])
            strides = (mask.strides[0], 0, 0, *mask.strides[2:])
        if mask.size[0] == 1:
            own, strides = (batch, *own[1:]), (0, *strides[1:])
        mask = b.reshaped(b.view(mask, own, strides), (batch * heads, *own[2:]))
    return q, k, v, mask


@rule("baddbmm")
def baddbmm(b: Builder, node: Node, base: Value, left: Value, right: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    """Beta base + alpha left right."""
    out = matmul(b, node, left, right)
    if alpha != 1:
        out = b.elementwise("affine", out, size=out.size, p=float(alpha))
    if beta == 0:
        return out
    scaled = base if beta == 1 else b.elementwise("affine", base, size=base.size, p=float(beta))
    return b.elementwise("add", scaled, out, size=out.size)


@rule("conv1d", "conv2d")
def convolution(
    b: Builder,
    node: Node,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """A convolution in one or two dimensions; groups leave out what they do not connect."""
    kernel = floats(weight)
    axes = kernel.dim() - 2
    if len(x.size) != axes + 2:
        raise Unsupported("images without a batch")
    stride, padding, dilation = ([*one, *one][:axes] for one in (stride, padding, dilation))
    return convolved(b, x, kernel, floats_or_none(bias), sizes_of(node), stride, padding, dilation, groups)


def convolved(
    b: Builder,
    x: Value,
    kernel: Tensor,
    bias: Tensor | None,
    size: Sequence[Size],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Value:
    """Appends a convolution in one or two dimensions; `size` is that of its result."""
    matrix, places = ungrouped(kernel if kernel.dim() == 4 else kernel.unsqueeze(2), groups)
    flat = kernel.dim() == 3
    image = b.reshaped(x, (*x.size[:2], 1, x.size[2])) if flat else b.contiguous(x)
    settings = [[1, *stride], [0, *padding], [1, *dilation]] if flat else [stride, padding, dilation]
    sizes = [*([1] if flat else []), *kernel.shape[2:], *(one for some in settings for one in some)]
    out = b.result((*size[:2], 1, size[2]) if flat else size)
    b.add(Step("convolution", [image, None], [out], sizes=sizes, weight=matrix, places=places, bias=bias))
    return b.reshaped(out, size) if flat else out


def ungrouped(kernel: Tensor, groups: int) -> tuple[Tensor, Tensor | None]:
    """Returns a convolution's weight as one matrix (outputs, channels · taps), and where it may hold weights at all.

    Args:
        kernel: (outputs, channels / groups, height, width).
        groups: How many groups of channels there are.
    """
    outputs, channels = kernel.shape[:2]
    if groups == 1:
        return kernel.flatten(1), None
    matrix = kernel.new_zeros(outputs, groups, channels, *kernel.shape[2:])
    places = torch.zeros_like(matrix, dtype=torch.bool)
    own = torch.arange(outputs) // (outputs // groups)
    matrix[torch.arange(outputs), own] = kernel
    places[torch.arange(outputs), own] = True
    return matrix.flatten(1), places.flatten(1)


@rule("_native_batch_norm_legit_no_training")
def batch_norm(
    b: Builder,
    node: Node,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    momentum: float,
    epsilon: float,
) -> list[Value]:
    """A factor and an offset for each channel, which `fold_norms` takes into the product before."""
    del node, momentum
    scale = (floats(variance).double() + epsilon).rsqrt()
    if weight is not None:
        scale = scale * floats(weight)
    shift = -floats(mean) * scale + (0.0 if bias is None else floats(bias))
    shape = (-1, *[1] * (len(x.size) - 2))
    factors = [b.constant(one.float().reshape(shape)) for one in (scale, shift)]
    scaled = b.elementwise("multiply", x, factors[0], size=x.size)
    return [b.elementwise("add", scaled, factors[1], size=x.size)]


@rule("layer_norm")
def layer_norm(
    b: Builder,
    node: Node,
    x: Value,
    shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    epsilon: float = 1e-5,
    cudnn: bool = True,
) -> Value:
    """A norm over the last axes."""
    del node, cudnn
    return _normalized(b, x, shape, [weight, bias], epsilon, centred=True)


@rule("rms_norm")
def rms_norm(
    b: Builder, node: Node, x: Value, shape: Sequence[int], weight: Value | None = None, epsilon: float | None = None
) -> Value:
    """A norm over the last axes that leaves the mean."""
    del node
    small = torch.finfo(torch.float32).eps if epsilon is None else epsilon
    return _normalized(b, x, shape, [weight], small, centred=False)


@rule("group_norm")
def group_norm(
    b: Builder,
    node: Node,
    x: Value,
    groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    epsilon: float = 1e-5,
    cudnn: bool = True,
) -> Value:
    """A norm over each group of channels, then a factor and an offset for each channel."""
    del node, cudnn
    if not isinstance(x.size[1], int) or not all(isinstance(one, int) for one in x.size[2:]):
        raise Unsupported("group norms of images of any size")
    width = x.size[1] // groups * math.prod(x.size[2:])
    rows = b.reshaped(x, (x.size[0] * groups, width))
    out = b.reshaped(_normalized(b, rows, (width,), [], epsilon, centred=True), x.size)
    for what, part in (("multiply", weight), ("add", bias)):
        if part is not None:
            spread = b.constant(floats(part).reshape(-1, *[1] * (len(x.size) - 2)))
            out = b.elementwise(what, out, spread, size=x.size)
    return out


def _normalized(
    b: Builder, x: Value, shape: Sequence[int], parts: Sequence[Value | None], epsilon: float, *, centred: bool
) -> Value:
    if len(shape) != 1:
        flat = b.reshaped(x, (*x.size[: len(x.size) - len(shape)], math.prod(shape)))
        flattened = [None if part is None else b.reshaped(part, (math.prod(shape),)) for part in parts]
        return b.reshaped(_normalized(b, flat, flat.size[-1:], flattened, epsilon, centred=centred), x.size)
    inputs = [b.contiguous(x), *parts]
    return b.add(Step("normalize", inputs, [b.result(x.size)], sizes=[int(centred)], numbers=[epsilon]))


def floats(value: Value) -> Tensor:
    """Returns the numbers of a constant of floats."""
    if value.data is None or value.data.dtype is not torch.float32:
        raise Unsupported("weights that are no constants of 32 bits")
    return value.data


def floats_or_none(value: Value | None) -> Tensor | None:
    """Returns the numbers of a constant of floats, None where there is none."""
    return None if value is None else floats(value)
