"""The graph attention network of Veličković et al., "Graph Attention Networks", ICLR 2018, section 3.3.

Eight heads of eight features side by side in every layer but the last, ELU between layers, averaged heads at
the end; dropout of 0.6 on the input of each layer and on the attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.graph import Graph
from gossamer.models.graph.widths import widths
from gossamer.nn import Features, GATConv, dropout


class GAT(nn.Module):
    """A stack of graph attention layers.

    Args:
        in_features: Width of the node features.
        hidden: Width of the layers between, all heads together; a multiple of `heads`.
        out_features: Width of the output, for example the number of classes.
        layers: Number of layers, at least 1.
        heads: Heads of each layer but the last.
        out_heads: Heads of the last layer, averaged; the paper uses 1 on Cora and 8 on Pubmed.
        dropout: Probability of dropping an element of a layer's input, or an edge's attention, in training.

    Raises:
        ModelError: `hidden` is not a multiple of `heads`.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        out_features: int,
        layers: int = 2,
        *,
        heads: int = 8,
        out_heads: int = 1,
        dropout: float = 0.6,
    ) -> None:
        super().__init__()
        if hidden % heads:
            raise ModelError(f"hidden is {hidden}; expected a multiple of the {heads} heads")
        self.dropout = dropout
        *inner, last = widths(in_features, hidden, out_features, layers)
        self.convs = nn.ModuleList(
            [
                *(GATConv(wide, narrow // heads, heads=heads, dropout=dropout) for wide, narrow in inner),
                GATConv(*last, heads=out_heads, concat=False, dropout=dropout),
            ]
        )

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Maps node features (N, in_features) to (N, out_features)."""
        free = not torch.is_grad_enabled()  # to overwrite: a fresh tensor costs more than the arithmetic
        first, *others = self.convs
        out: Tensor = first(dropout(x, self.dropout, self.training), graph)
        for conv in others:
            out = conv(dropout(F.elu(out, inplace=free), self.dropout, self.training), graph)
        return out
