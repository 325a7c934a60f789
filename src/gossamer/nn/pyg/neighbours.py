"""Stand-ins for the layers that reduce the neighbours as they are: SAGEConv and GINConv."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.nn.gin import sum_with_self
from gossamer.nn.pyg.adopted import Adopted


class AdoptedSAGE(Adopted):
    """Stands in for `SAGEConv` with the mean, sum or maximum of neighbours."""

    replaces = "SAGEConv"
    reductions = ("mean", "add", "sum", "max")
    settings = ("in_channels", "out_channels", "normalize", "root_weight", "project", "aggr")

    normalize: bool
    root_weight: bool
    project: bool
    lin: nn.Module
    lin_l: nn.Module
    lin_r: nn.Module

    @classmethod
    def _obstacle(cls, layer: Any) -> str:
        return "it takes two kinds of nodes" if isinstance(layer.in_channels, tuple) else ""

    def forward(self, x: Tensor, edge_index: Tensor, size: Any = None) -> Tensor:
        """Returns (N, out_channels) for x (N, in_channels)."""
        del size  # of a bipartite graph; this one has its nodes' number from x
        graph = self.graph(x, edge_index)
        sent = self.lin(x).relu() if self.project else x
        if self.aggr == "max":
            gathered = graph.maximum(sent)
        else:
            gathered = graph.mean(sent) if self.aggr == "mean" else graph.aggregate(sent)
        out: Tensor = self.lin_l(gathered)
        if self.root_weight:
            out = out + self.lin_r(x)
        return F.normalize(out, p=2.0, dim=-1) if self.normalize else out


class AdoptedGIN(Adopted):
    """Stands in for `GINConv`."""

    replaces = "GINConv"

    nn: nn.Module
    eps: Tensor

    def forward(self, x: Tensor, edge_index: Tensor, size: Any = None) -> Tensor:
        """Returns nn of (N, C_in) for x (N, C_in)."""
        del size  # of a bipartite graph; this one has its nodes' number from x
        out: Tensor = self.nn(sum_with_self(x, self.graph(x, edge_index), self.eps))
        return out
