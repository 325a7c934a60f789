"""The GraphSAGE layer of Hamilton, Ying & Leskovec, algorithm 1 with the mean or the sum as aggregator.

    out_i = W_neighbours · mean_{j → i} x_j + W_root · x_i + b

"Inductive Representation Learning on Large Graphs", NeurIPS 2017. The product with the concatenation of the
two is written as two products. On a weighted graph the mean is the weighted mean. A node without incoming
edges has a neighbourhood of zero.
"""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.graph import CSR, Graph, as_graph
from gossamer.nn.linear import Features, Linear


class SAGEConv(nn.Module):
    """One GraphSAGE layer.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        mean: Whether neighbours are averaged (True) or summed (False).
        bias: Whether to add a learned bias.
    """

    def __init__(self, in_features: int, out_features: int, *, mean: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.mean = mean
        self.neighbours = Linear(in_features, out_features, bias=False)
        self.root = Linear(in_features, out_features, bias=bias)

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """Applies the layer.

        Args:
            x: (N, in_features) tensor or CSR.
            graph: A `Graph` of N nodes, or a PyG `edge_index` (2, E).

        Returns:
            (N, out_features).
        """
        graph = as_graph(graph, x.shape[0])
        gather = graph.mean if self.mean else graph.aggregate
        out: Tensor = self.root(x)
        if isinstance(x, CSR) or self.root.in_features > self.root.out_features:
            return out + gather(self.neighbours(x))
        around: Tensor = self.neighbours(gather(x))
        return out + around
