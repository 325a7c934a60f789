"""The graph isomorphism layer of Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, eq. (4.1).

    out_i = MLP((1 + ε) · x_i + Σ_{j → i} x_j)

The MLP has two layers with batch normalisation and ReLU between them, as in the paper's experiments. Its
first layer is linear, so it may be applied before the sum: that is done for sparse inputs, and where it
narrows the aggregation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.graph import CSR, Graph, as_graph
from gossamer.graph.csr import exporting
from gossamer.nn.linear import Features, Linear


class GINConv(nn.Module):
    """One graph isomorphism layer.

    Args:
        in_features: Width of the input.
        hidden: Width between the two layers of the MLP.
        out_features: Width of the output.
        epsilon: How much more a node counts than a neighbour; the starting value where it is trained.
        train_epsilon: Whether ε is a parameter.
        normalize: Whether batch normalisation stands between the two layers of the MLP.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        out_features: int,
        *,
        epsilon: float = 0.0,
        train_epsilon: bool = False,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.epsilon: Tensor
        if train_epsilon:
            self.epsilon = nn.Parameter(torch.tensor(epsilon))
        else:
            self.register_buffer("epsilon", torch.tensor(epsilon))
        self.first = Linear(in_features, hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.norm = nn.BatchNorm1d(hidden) if normalize else nn.Identity()
        self.second = Linear(hidden, out_features)

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Applies the layer.

        Args:
            x: (N, in_features) tensor or CSR.
            graph: A `Graph` of N nodes, whose weights are honoured, or a PyG `edge_index` (2, E).

        Returns:
            (N, out_features).
        """
        graph = as_graph(graph, x.shape[0])
        if isinstance(x, CSR) or self.first.in_features > self.first.out_features:
            hidden = self._summed(self.first(x), graph)
        else:
            hidden = self.first(self._summed(x, graph))
        out: Tensor = self.second(torch.relu(self.norm(hidden.add_(self.bias))))
        return out

    def _summed(self, x: Tensor, graph: Graph) -> Tensor:
        """Returns (1 + ε) · x_i + Σ_j x_j, (N, F)."""
        return sum_with_self(x, graph, self.epsilon)


def sum_with_self(x: Tensor, graph: Graph, epsilon: Tensor) -> Tensor:
    """Returns (1 + ε) · x_i + Σ_j x_j, (N, F), for one number ε."""
    if graph.weights is not None or epsilon.requires_grad or exporting():  # which cannot read the number
        return torch.addcmul(graph.aggregate(x), x, 1.0 + epsilon)
    return graph.propagate(x, add=x, add_scale=1.0 + float(epsilon))
