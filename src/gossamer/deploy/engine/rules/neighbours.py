"""This library's own operators on graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder, Unsupported, size_of, sizes_of
from gossamer.deploy.engine.graph import Size, Step, Value
from gossamer.deploy.engine.rules.table import rule


@rule("gossamer.sort_coordinates.default")
def sort_coordinates(b: Builder, node: Node, row: Value, column: Value, rows: Size, columns: Size) -> list[Value]:
    """Edges sorted into rows."""
    del node
    given: list[Value | None] = [b.contiguous(row), b.contiguous(column)]
    outputs = [b.result((rows + 1,), torch.int64), b.result(row.size, torch.int64)]
    b.add(Step("sort_edges", given, outputs, sizes=[rows, columns]))
    return outputs


@rule("gossamer.self_loops.default")
def self_loops(b: Builder, node: Node, indptr: Value, indices: Value) -> list[Value]:
    """One loop a node; there is room for all edges there can be, so only kernels that look at `indptr` may follow."""
    if not all(_reads_rows(user) for user in node.users):
        raise Unsupported("loops of a graph with weights")
    nodes, most = indptr.size[0] - 1, indices.size[0] + indptr.size[0] - 1
    b.bounds[size_of(node.meta["val"][1].shape[0])] = most
    outputs = [b.result((size,), torch.int64) for size in (nodes + 1, most, most, nodes)]
    b.add(Step("self_loops", [b.contiguous(indptr), b.contiguous(indices)], outputs))
    return outputs


_COMPARISONS = ("<built-in function ge>", "<built-in function le>", "<built-in function eq>")


def _reads_rows(result: Node) -> bool:
    """Says whether a result of `self_loops` goes nowhere but to kernels that take their rows from `indptr`."""
    if result.args[1] in (0, 3):  # of sizes that are known
        return True
    if result.args[1] == 2:
        return not result.users
    ends = [*result.users]
    while ends:
        user = ends.pop()
        name = str(user.target)
        if "_to_copy" in name or "sym_size" in name or name in _COMPARISONS:  # of sizes, for checks
            ends += user.users
        elif "_assert" not in name and not name.startswith(("gossamer.propagate", "gossamer.attention")):
            return False
    return True


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
