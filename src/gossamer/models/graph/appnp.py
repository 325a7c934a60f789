"""The network of "Predict then Propagate: Graph Neural Networks meet Personalized PageRank", ICLR 2019.

Gasteiger, Bojchevski & Günnemann: a perceptron predicts from each node's own features, then its predictions
spread over the graph. Dropout also acts on the edges of each propagation step.
"""

from __future__ import annotations

from torch import Tensor, nn

from gossamer import nn as gnn
from gossamer.graph import Graph
from gossamer.models.graph.mlp import MLP
from gossamer.nn import Features


class APPNP(nn.Module):
    """A perceptron followed by personalised PageRank.

    Args:
        in_features: Width of the node features.
        hidden: Width of the perceptron's hidden layers; the paper's is 64.
        out_features: Width of the output, for example the number of classes.
        layers: Number of linear layers, at least 1.
        dropout: Probability of dropping an element of a layer's input, or an edge, while training.
        steps: Number of propagation steps.
        alpha: Probability of going back to the node's own prediction, in [0, 1].
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        out_features: int,
        layers: int = 2,
        *,
        dropout: float = 0.5,
        steps: int = 10,
        alpha: float = 0.1,
    ) -> None:
        super().__init__()
        self.predict = MLP(in_features, hidden, out_features, layers, dropout=dropout)
        self.propagate = gnn.APPNP(steps, alpha, dropout=dropout)

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Maps node features (N, in_features) to (N, out_features)."""
        out: Tensor = self.propagate(self.predict(x), graph)
        return out
