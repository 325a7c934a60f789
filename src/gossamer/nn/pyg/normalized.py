"""Stand-ins for the layers on a symmetrically normalised graph: GCNConv, SGConv and APPNP.

What they compute is in `nn.gcn` and `nn.appnp`; Wu et al., "Simplifying Graph Convolutional Networks", ICML 2019, is
the sum taken K times before the one product. Edge weights are honoured; the edges are sorted anew in every call then.
"""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.graph import Graph
from gossamer.nn.appnp import personalized
from gossamer.nn.factorized import Factorized, around_narrowest
from gossamer.nn.pyg.adopted import Adopted


class AdoptedGCN(Adopted):
    """Stands in for `GCNConv`."""

    replaces = "GCNConv"
    settings = ("in_channels", "out_channels", "improved", "add_self_loops", "normalize")
    in_channels: int
    out_channels: int
    improved: bool
    add_self_loops: bool
    normalize: bool
    lin: nn.Module
    bias: nn.Parameter | None

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Returns (N, out_channels) for x (N, in_channels) and weights (E,)."""
        graph = self.graph(x, edge_index, edge_weight)
        if self.add_self_loops:
            # Like PyG's: loops weigh more only beside edges that have weights of their own.
            graph = graph.add_self_loops(2.0 if self.improved and edge_weight is not None else 1.0)
        before, after = self._layers()
        for layer in before:
            x = layer(x)
        out = self._summed(graph, x, None if after else self.bias)
        for layer in after:
            out = layer(out)
        return out if self.bias is None or not after else out + self.bias

    def _layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Returns what is applied before the sum and what after it; of equal widths the sum comes last, as in PyG."""
        if isinstance(self.lin, Factorized):
            return around_narrowest(self.lin, self.in_channels, self.out_channels)
        return ([], [self.lin]) if self.in_channels < self.out_channels else ([self.lin], [])

    def _summed(self, graph: Graph, x: Tensor, bias: Tensor | None) -> Tensor:
        if self.normalize:
            return graph.symmetric_sum(x, bias)
        if graph.weights is None:
            return graph.propagate(x, bias=bias)
        out = graph.aggregate(x)
        return out if bias is None else out + bias


class AdoptedSG(Adopted):
    """Stands in for `SGConv`."""

    replaces = "SGConv"
    settings = ("in_channels", "out_channels", "K", "add_self_loops")
    without = (("cached", False),)

    K: int
    add_self_loops: bool
    lin: nn.Module

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Returns (N, out_channels) for x (N, in_channels) and weights (E,)."""
        graph = self.graph(x, edge_index, edge_weight)
        if self.add_self_loops:
            graph = graph.add_self_loops()
        for _ in range(self.K):
            x = graph.symmetric_sum(x)
        out: Tensor = self.lin(x)
        return out


class AdoptedAPPNP(Adopted):
    """Stands in for `APPNP`."""

    replaces = "APPNP"
    settings = ("K", "alpha", "dropout", "add_self_loops", "normalize")
    without = (("normalize", True),)

    K: int
    alpha: float
    dropout: float
    add_self_loops: bool

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Returns (N, C) for x (N, C) and weights (E,)."""
        graph = self.graph(x, edge_index, edge_weight)
        if self.add_self_loops:
            graph = graph.add_self_loops()
        return personalized(x, graph, self.K, self.alpha, self.dropout if self.training else 0.0)
