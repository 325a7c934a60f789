"""The graph attention layer of Veličković et al., "Graph Attention Networks", ICLR 2018, eqs. (1)-(6).

    e_ij = LeakyReLU(a_target · W x_i + a_source · W x_j),   out_i = Σ_j softmax_j(e_ij) · W x_j + b

per head, over the neighbours of i and i itself. The dot product with the concatenation [W x_i ‖ W x_j] is
split into its two halves, so that each is computed once per node instead of once per edge, and nothing is made
for the edges. Edge weights are not used, unless they are being learned, as a mask m on edges is: then they stand before
the softmax as m_j · exp(e_ij), so that 0 is no edge and 1 changes nothing, and weights are made for the edges. Existing
self loops count once. Dropout acts on the attention, as in the paper; dropout of the input is the model's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.graph import Graph, as_graph
from gossamer.kernels.attention import attend_additive, head_dots
from gossamer.nn.dropout import dropout, dropping
from gossamer.nn.linear import Features, Linear


class GATConv(nn.Module):
    """One graph attention layer.

    Args:
        in_features: Width of the input.
        out_features: Width of each head's output.
        heads: Number of attention heads H, at least 1.
        concat: Whether the heads stand side by side (True) or are averaged (False).
        slope: Slope of the leaky ReLU below zero.
        dropout: Probability of dropping an edge's attention while training.
        bias: Whether to add a learned bias.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        heads: int = 1,
        concat: bool = True,
        slope: float = 0.2,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.concat = concat
        self.slope = slope
        self.dropout = dropout
        self.linear = Linear(in_features, heads * out_features, bias=False)
        self.source = nn.Parameter(torch.empty(heads, out_features))
        self.target = nn.Parameter(torch.empty(heads, out_features))
        for weight in (self.linear.weight, self.source, self.target):
            nn.init.xavier_uniform_(weight)
        self.bias = nn.Parameter(torch.zeros(heads * out_features if concat else out_features)) if bias else None

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Applies the layer.

        Args:
            x: (N, in_features) tensor or CSR.
            graph: A `Graph` of N nodes, or a PyG `edge_index` (2, E); self loops are added where missing.

        Returns:
            (N, heads · out_features), or (N, out_features) where heads are averaged.
        """
        graph = as_graph(graph, x.shape[0])
        learned = graph.weights is not None and graph.weights.requires_grad
        looped = graph.add_self_loops()
        projected = self.linear(x).view(-1, *self.source.shape)  # (N, H, F)
        source, target = head_dots(projected, torch.stack([self.source, self.target]))
        if learned:
            out = self._masked(looped, projected, target, source)
        else:
            out = attend_additive(  # (N, H, F)
                looped.adjacency.indptr,
                looped.adjacency.indices,
                projected,
                target,
                source,
                slope=self.slope,
                transpose=looped.back(projected, source, target),
                **dropping(self.dropout, self.training),
            )
        out = out.flatten(1) if self.concat else out.mean(1)
        if self.bias is None:
            return out
        # In place where no gradient needs it: fresh memory for the result costs more than the sum.
        return out + self.bias if out.requires_grad else out.add_(self.bias)

    def _masked(self, graph: Graph, projected: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """Returns Σ_j m_j exp(e_ij) · W x_j / Σ_j m_j exp(e_ij), (N, H, F), with m the weights of the graph."""
        adjacency = graph.adjacency
        rows, columns = adjacency.rows, adjacency.indices.long()
        scores = F.leaky_relu(target[rows] + source[columns], self.slope)  # (E, H)
        highest = torch.full_like(target, -torch.inf).scatter_reduce(
            0, rows[:, None].expand_as(scores), scores, reduce="amax"
        )
        share = adjacency.to_values()[:, None] * (scores - highest.detach()[rows]).exp()
        total = graph.aggregate(torch.ones_like(target)[..., None], share)  # a self loop keeps it above zero
        return graph.aggregate(projected, dropout(share, self.dropout, self.training)) / total
