"""The graph convolutional network of Kipf & Welling: convolutions, ReLU between, dropout before each.

"Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.graph import Graph
from gossamer.models.graph.widths import widths
from gossamer.nn import Features, GCNConv, dropout


class GCN(nn.Module):
    """A stack of graph convolutions.

    Args:
        in_features: Width of the node features.
        hidden: Width of the layers between; the paper's is 16.
        out_features: Width of the output, for example the number of classes.
        layers: Number of convolutions, at least 1.
        dropout: Probability of dropping an element of a layer's input while training.
    """

    def __init__(
        self, in_features: int, hidden: int, out_features: int, layers: int = 2, *, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.convs = nn.ModuleList(
            GCNConv(wide, narrow) for wide, narrow in widths(in_features, hidden, out_features, layers)
        )

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Maps node features (N, in_features) to (N, out_features)."""
        free = not torch.is_grad_enabled()  # to overwrite: a fresh tensor costs more than the arithmetic
        first, *others = self.convs
        out: Tensor = first(dropout(x, self.dropout, self.training), graph)
        for conv in others:
            out = conv(dropout(F.relu(out, inplace=free), self.dropout, self.training), graph)
        return out
