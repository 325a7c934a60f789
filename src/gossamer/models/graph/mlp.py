"""A plain multilayer perceptron: what the features alone can do, without the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.graph import Graph
from gossamer.models.graph.widths import widths
from gossamer.nn import Features, Linear, dropout


class MLP(nn.Module):
    """Linear layers with ReLU between them and dropout before each.

    Args:
        in_features: Width of the features.
        hidden: Width of the layers between.
        out_features: Width of the output, for example the number of classes.
        layers: Number of linear layers, at least 1.
        dropout: Probability of dropping an element of a layer's input while training.
    """

    def __init__(
        self, in_features: int, hidden: int, out_features: int, layers: int = 2, *, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.linears = nn.ModuleList(
            Linear(wide, narrow) for wide, narrow in widths(in_features, hidden, out_features, layers)
        )

    def forward(self, x: Features, graph: Graph | Tensor | None = None) -> Tensor:
        """Maps features (N, in_features) to (N, out_features); `graph` is not used."""
        free = not torch.is_grad_enabled()  # to overwrite: a fresh tensor costs more than the arithmetic
        first, *others = self.linears
        out: Tensor = first(dropout(x, self.dropout, self.training))
        for linear in others:
            out = linear(dropout(F.relu(out, inplace=free), self.dropout, self.training))
        return out
