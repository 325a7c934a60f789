"""Stand-ins for the attention layers: GATConv, GATv2Conv and TransformerConv, without edge features.

Scores are made where they are used (`kernels.attention`), so memory grows with the nodes and not with the edges times
the features. In training, dropout draws other weights than PyG does, with the same probability.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.graph import Graph
from gossamer.kernels.attention import attend_additive, attend_dot, attend_mixed
from gossamer.nn.dropout import dropping
from gossamer.nn.pyg.adopted import Adopted

_TWO_KINDS = "it takes two kinds of nodes"


class _Heads(Adopted):
    """What the three share: heads side by side or averaged, and dropout of attention."""

    heads: int
    out_channels: int
    concat: bool
    dropout: float
    res: nn.Module | None
    bias: nn.Parameter | None

    def attended(self, graph: Graph, attend: Callable[..., Tensor], *inputs: Tensor, **scores: Any) -> Tensor:
        """Returns (N, H · C) or (N, C): attention over `graph` with its heads put together."""
        adjacency = graph.adjacency
        scores |= dropping(self.dropout, self.training) | {"transpose": graph.back(*inputs)}
        out = attend(adjacency.indptr, adjacency.indices, *inputs, **scores)
        return out.flatten(1) if self.concat else out.mean(1)

    def finished(self, out: Tensor, x: Tensor) -> Tensor:
        """Returns `out` with the residual of `x` and the bias, those that the layer has."""
        if self.res is not None:
            out = out + self.res(x)
        if self.bias is None:
            return out
        # In place where no gradient needs it: fresh memory for the result costs more than the sum.
        return out + self.bias if out.requires_grad else out.add_(self.bias)

    def split(self, x: Tensor) -> Tensor:
        """Returns (N, H, C) for (N, H · C)."""
        return x.view(-1, self.heads, self.out_channels)


class AdoptedGAT(_Heads):
    """Stands in for `GATConv`."""

    replaces = "GATConv"
    settings = ("out_channels", "heads", "concat", "negative_slope", "dropout", "add_self_loops")
    without = (("edge_dim", None),)

    negative_slope: float
    add_self_loops: bool
    lin: nn.Module
    att_src: nn.Parameter
    att_dst: nn.Parameter

    @classmethod
    def _obstacle(cls, layer: Any) -> str:
        return _TWO_KINDS if layer.lin is None else ""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: None = None) -> Tensor:
        """Returns (N, H · out_channels), or (N, out_channels) where heads are averaged."""
        del edge_attr  # PyG's models pass it always; layers with an `edge_dim` are not replaced
        graph = self.graph(x, edge_index)
        graph = graph.add_self_loops() if self.add_self_loops else graph
        values = self.split(self.lin(x))
        both = torch.cat([self.att_dst, self.att_src])  # one pass over the values for the two of them
        target, source = torch.einsum("nhc,khc->knh", values, both)
        out = self.attended(graph, attend_additive, values, target, source, slope=self.negative_slope)
        return self.finished(out, x)


class AdoptedGATv2(_Heads):
    """Stands in for `GATv2Conv`."""

    replaces = "GATv2Conv"
    settings = AdoptedGAT.settings
    without = (("edge_dim", None),)

    negative_slope: float
    add_self_loops: bool
    att: nn.Parameter
    lin_l: nn.Module
    lin_r: nn.Module

    @classmethod
    def _obstacle(cls, layer: Any) -> str:
        return _TWO_KINDS if isinstance(layer.in_channels, tuple) else ""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: None = None) -> Tensor:
        """Returns (N, H · out_channels), or (N, out_channels) where heads are averaged."""
        del edge_attr  # PyG's models pass it always; layers with an `edge_dim` are not replaced
        graph = self.graph(x, edge_index)
        graph = graph.add_self_loops() if self.add_self_loops else graph
        source = self.split(self.lin_l(x))
        target = source if self.lin_r is self.lin_l else self.split(self.lin_r(x))
        out = self.attended(graph, attend_mixed, target, source, self.att[0], slope=self.negative_slope)
        return self.finished(out, x)


class AdoptedTransformer(_Heads):
    """Stands in for `TransformerConv`."""

    replaces = "TransformerConv"
    settings = ("out_channels", "heads", "concat", "dropout", "root_weight")
    without = (("edge_dim", None),)

    root_weight: bool
    lin_query: nn.Module
    lin_key: nn.Module
    lin_value: nn.Module
    lin_skip: nn.Module
    lin_beta: nn.Module | None

    @classmethod
    def _obstacle(cls, layer: Any) -> str:
        return _TWO_KINDS if isinstance(layer.in_channels, tuple) else ""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: None = None) -> Tensor:
        """Returns (N, H · out_channels), or (N, out_channels) where heads are averaged."""
        del edge_attr  # PyG's models pass it always; layers with an `edge_dim` are not replaced
        graph = self.graph(x, edge_index)
        inputs = (self.split(layer(x)) for layer in (self.lin_value, self.lin_query, self.lin_key))
        out = self.attended(graph, attend_dot, *inputs)
        if not self.root_weight:
            return out
        root: Tensor = self.lin_skip(x)
        if self.lin_beta is None:
            return out + root
        beta = self.lin_beta(torch.cat([out, root, out - root], dim=-1)).sigmoid()
        mixed: Tensor = beta * root + (1 - beta) * out
        return mixed
