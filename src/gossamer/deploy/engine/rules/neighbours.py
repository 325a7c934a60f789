"""This library's own operators on graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, sizes_of
from gossamer.deploy.engine.graph import Step, Value
from gossamer.deploy.engine.rules.table import rule


@rule("gossamer.propagate.default")
def propagate(
    b: Builder,
    node: Node,
    indptr: Value,
    indices: Value,
    x: Value,
    source: Value | None,
    target: Value | None,
    add: Value | None,
    add_scale: float,
    bias: Value | None,
    relu: bool,
    *_: Any,
) -> Value:
    """Scaled sums over neighbours, with what follows."""
    if x.dtype is not torch.float32:
        raise Unsupported(f"features of {x.dtype}")
    given = [None if one is None else b.contiguous(one) for one in (indptr, indices, x, source, target, add, bias)]
    out = b.result(sizes_of(node))
    return b.add(Step("propagate", given, [out], sizes=[int(relu)], numbers=[float(add_scale)]))


@rule("gossamer.aggregate.default")
def aggregate(
    b: Builder, node: Node, indptr: Value, indices: Value, x: Value, weights: Value | None, edge: Value | None, *_: Any
) -> Value:
    """Plain sums over neighbours."""
    if weights is not None or edge is not None or len(x.size) != 2:
        raise Unsupported("sums with a weight for each edge")
    return propagate(b, node, indptr, indices, x, None, None, None, 1.0, None, False)


@rule("gossamer.attention.default")
def attention(
    b: Builder,
    node: Node,
    indptr: Value,
    indices: Value,
    values: Value,
    values_scale: Value | None,
    near: Value,
    far: Value,
    far_scale: Value | None,
    mix: Value | None,
    form: int,
    slope: float,
    scale: float,
    seed: int,
    dropout: float,
    *_: Any,
) -> list[Value]:
    """Attention over neighbours."""
    del seed
    if dropout or values_scale is not None or far_scale is not None or values.dtype is not torch.float32:
        raise Unsupported("attention with dropout or features of few bits")
    given = [None if one is None else b.contiguous(one) for one in (indptr, indices, near, far, values, mix)]
    out = b.result(tuple(size if isinstance(size, int) else size.node.expr for size in node.meta["val"][0].shape))
    norms = [b.result(out.size[:2]) for _ in range(2)]
    b.add(Step("neighbour_attention", given, [out, *norms], sizes=[form], numbers=[float(slope), float(scale)]))
    return [out]  # nothing reads the norms in prediction


@rule("gossamer.head_dots.default")
def head_dots(b: Builder, node: Node, x: Value, vectors: Value) -> Value:
    """The dot products of each head with a few vectors."""
    given: list[Value | None] = [b.contiguous(x), b.contiguous(vectors)]
    return b.add(Step("head_dots", given, [b.result(sizes_of(node))]))
