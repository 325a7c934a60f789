"""A graph isomorphism network: sums over neighbours and a perceptron in every layer.

After Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, with batch normalisation and ReLU
between layers. The paper sums the readouts of all layers; here a `Readout` pools the last one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.graph import Graph
from gossamer.models.graph.widths import widths
from gossamer.nn import Features, GINConv, dropout


class GIN(nn.Module):
    """A stack of graph isomorphism layers.

    Args:
        in_features: Width of the node features.
        hidden: Width of the layers between, and inside each layer's MLP.
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
            GINConv(wide, hidden, narrow) for wide, narrow in widths(in_features, hidden, out_features, layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers - 1))

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Maps node features (N, in_features) to (N, out_features)."""
        free = not torch.is_grad_enabled()  # to overwrite: a fresh tensor costs more than the arithmetic
        first, *others = self.convs
        out: Tensor = first(dropout(x, self.dropout, self.training), graph)
        for norm, conv in zip(self.norms, others, strict=True):
            out = conv(dropout(F.relu(norm(out), inplace=free), self.dropout, self.training), graph)
        return out
