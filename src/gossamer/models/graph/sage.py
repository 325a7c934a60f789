"""A GraphSAGE network: mean aggregation over all neighbours, ReLU between layers.

After Hamilton, Ying & Leskovec, "Inductive Representation Learning on Large Graphs", NeurIPS 2017. Neighbours
are not sampled, and outputs are not scaled to unit length, which classification does not need.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.graph import Graph
from gossamer.models.graph.widths import widths
from gossamer.nn import Features, SAGEConv, dropout


class SAGE(nn.Module):
    """A stack of GraphSAGE layers.

    Args:
        in_features: Width of the node features.
        hidden: Width of the layers between.
        out_features: Width of the output, for example the number of classes.
        layers: Number of layers, at least 1.
        dropout: Probability of dropping an element of a layer's input while training.
    """

    def __init__(
        self, in_features: int, hidden: int, out_features: int, layers: int = 2, *, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.convs = nn.ModuleList(
            SAGEConv(wide, narrow) for wide, narrow in widths(in_features, hidden, out_features, layers)
        )

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Maps node features (N, in_features) to (N, out_features)."""
        free = not torch.is_grad_enabled()  # to overwrite: a fresh tensor costs more than the arithmetic
        first, *others = self.convs
        out: Tensor = first(dropout(x, self.dropout, self.training), graph)
        for conv in others:
            out = conv(dropout(F.relu(out, inplace=free), self.dropout, self.training), graph)
        return out
