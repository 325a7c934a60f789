"""The propagation of personalised PageRank over a graph, eq. (5) of "Predict then Propagate".

    Z⁰ = H,   Zᵏ⁺¹ = (1 − α) Â Zᵏ + α H          with Â the symmetrically normalised graph with self loops

Gasteiger, Bojchevski & Günnemann, "Predict then Propagate: Graph Neural Networks meet Personalized PageRank",
ICLR 2019. The layer has no parameters. Dropout acts on the weights of Â, anew in every step, as in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.graph import Graph, as_graph
from gossamer.nn.dropout import dropout


class APPNP(nn.Module):
    """Personalised PageRank of predictions.

    Args:
        steps: Number of propagation steps K, at least 0.
        alpha: Probability α of going back to the prediction itself, in [0, 1].
        dropout: Probability of dropping an edge in a step while training.
    """

    def __init__(self, steps: int = 10, alpha: float = 0.1, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.steps = steps
        self.alpha = alpha
        self.dropout = dropout

    def forward(self, x: Tensor, graph: Graph | Tensor) -> Tensor:
        """Propagates `x` (N, F) over a graph of N nodes (or a PyG `edge_index`); returns (N, F)."""
        looped = as_graph(graph, x.shape[0]).add_self_loops()
        return personalized(x, looped, self.steps, self.alpha, self.dropout if self.training else 0.0)


def personalized(x: Tensor, graph: Graph, steps: int, alpha: float, dropped: float) -> Tensor:
    """Returns Z of the last step for H = x (N, F) and Â the normalised `graph`, its edges dropped at random."""
    out = x
    if dropped or graph.weights is not None:
        adjacency = graph.symmetric().adjacency
        for _ in range(steps):
            out = torch.lerp(dropout(adjacency, dropped).matmul(out), x, alpha)
        return out
    for _ in range(steps):
        out = torch.lerp(graph.symmetric_sum(out), x, alpha)
    return out
