"""Turns a network that answers per node into one that answers per graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.graph import Graph
from gossamer.nn import Features, Linear, dropout


class Readout(nn.Module):
    """Pools the nodes of each graph and classifies the pooled row.

    Args:
        encoder: A network `encoder(x, graph)` that returns (N, hidden).
        hidden: Width of what the encoder returns.
        out_features: Width of the output, for example the number of classes.
        mean: Whether nodes are averaged (True) or summed (False). A sum keeps the size of the graph, which a
            mean forgets (Xu et al., ICLR 2019, section 5.3).
        dropout: Probability of dropping an element of the pooled row while training.
    """

    def __init__(
        self, encoder: nn.Module, hidden: int, out_features: int, *, mean: bool = False, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classify = Linear(hidden, out_features)
        self.mean = mean
        self.dropout = dropout

    def forward(self, x: Features, graph: Graph | Tensor, batch: Tensor) -> Tensor:
        """Classifies graphs.

        Args:
            x: (N, in_features) features of the nodes of all graphs.
            graph: The graphs side by side as one graph of N nodes.
            batch: (N,) the graph of each node, 0 to B − 1; the last graph has at least one node.

        Returns:
            (B, out_features).
        """
        nodes = F.relu(self.encoder(x, graph))
        graphs: int = batch.max().item() + 1 if batch.numel() else 0  # type: ignore[assignment]
        torch._check(graphs >= 0)  # type: ignore[no-untyped-call]  # a program that is traced cannot know it
        pooled = nodes.new_zeros(graphs, nodes.shape[1]).index_add(0, batch, nodes)
        if self.mean:
            sizes = nodes.new_zeros(graphs).index_add(0, batch, torch.ones_like(batch, dtype=nodes.dtype))
            pooled = pooled / sizes.clamp(min=1).unsqueeze(1)
        out: Tensor = self.classify(dropout(pooled, self.dropout, self.training))
        return out
