"""Softmax over the incoming edges of each node.

An edge carries one number per head, never a row of features, so attention needs memory for E·H numbers and
not for E·H·F. Rows of the CSR are contiguous, so maxima and sums are taken segment by segment, forward and
backward, without atomics. Subtracting each node's own maximum keeps the exponentials in range whatever the
size of the logits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.graph import CSR


def edge_softmax(csr: CSR, logits: Tensor) -> Tensor:
    """Normalises one number per edge and head over the edges that enter the same node.

    Args:
        csr: The adjacency; row = target. Its values are not used.
        logits: (E, H), in the order of the CSR's entries.

    Returns:
        (E, H), positive; each column sums to 1 over the entries of every row that has any.
    """
    out: Tensor = _EdgeSoftmax.apply(csr, logits)  # type: ignore[no-untyped-call]
    return out


def edge_logits(csr: CSR, source: Tensor, target: Tensor) -> Tensor:
    """Adds one number of the source and one of the target on every edge.

    Args:
        csr: The adjacency; row = target, column = source.
        source: (M, H), M columns.
        target: (N, H), N rows.

    Returns:
        (E, H): source[column] + target[row] of every entry.
    """
    out: Tensor = _EdgeLogits.apply(csr, source, target)  # type: ignore[no-untyped-call]
    return out


class _EdgeSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, logits: Tensor) -> Tensor:
        out = (logits - _segments(logits, csr.indptr, "max").index_select(0, csr.rows)).exp_()
        out = out.div_(_segments(out, csr.indptr, "sum").index_select(0, csr.rows))
        ctx.csr = csr
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (out,) = ctx.saved_tensors
        weighted = out * gradients[0]
        mean = _segments(weighted, ctx.csr.indptr, "sum").index_select(0, ctx.csr.rows)
        return None, weighted.sub_(mean.mul_(out))


class _EdgeLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, source: Tensor, target: Tensor) -> Tensor:
        ctx.csr = csr
        return source.index_select(0, csr.indices).add_(target.index_select(0, csr.rows))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        gradient = gradients[0].contiguous()
        transpose = ctx.csr.transpose
        source = _segments(gradient.index_select(0, transpose.edge), transpose.indptr, "sum")
        return None, source, _segments(gradient, ctx.csr.indptr, "sum")


def _segments(values: Tensor, indptr: Tensor, reduce: str) -> Tensor:
    """Reduces (E, H) to (N, H) over the rows that `indptr` delimits; an empty row gives 0."""
    return torch.segment_reduce(values, reduce, offsets=indptr, axis=0, initial=None if reduce == "max" else 0.0)
