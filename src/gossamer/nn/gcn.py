"""The graph convolution of Kipf & Welling, eq. (2) of their paper.

    out = D̃^(-1/2) Ã D̃^(-1/2) X W + b          with Ã = A + I and D̃ its degrees

"Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017. The two products may be done in
either order. Aggregation costs a pass over the edges at the width it is given, so the layer aggregates on the
narrower side, or between the factors of W where it is factorised; the result is the same to rounding. The normalisation
is kept by the graph, so it is computed once, not in every call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.graph import CSR, Graph, as_graph
from gossamer.nn.factorized import around_narrowest
from gossamer.nn.linear import Features, Linear


class GCNConv(nn.Module):
    """One graph convolution.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether to add a learned bias after the aggregation.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = Linear(in_features, out_features, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Applies the layer.

        Args:
            x: (N, in_features) tensor or CSR.
            graph: A `Graph` of N nodes, whose weights are honoured, or a PyG `edge_index` (2, E).

        Returns:
            (N, out_features).
        """
        looped = as_graph(graph, x.shape[0]).add_self_loops()
        # Equal widths aggregate first: where x is data, no gradient has to pass back through the edges.
        linear = self.linear
        before, after = around_narrowest(linear, linear.in_features, linear.out_features, sparse=isinstance(x, CSR))
        for layer in before:
            x = layer(x)
        assert isinstance(x, Tensor)
        if not after:
            return looped.symmetric_sum(x, self.bias)
        out = looped.symmetric_sum(x)
        for layer in after:
            out = layer(out)
        # In place: nothing else holds `out`, and a fresh copy of (N, out_features) is costly on large graphs.
        return out if self.bias is None else out.add_(self.bias)
