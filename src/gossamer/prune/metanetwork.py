"""A metanetwork: a graph network that reads a network as a graph and returns one that is easier to prune.

After Liu, Wang & Zhang, "Meta pruning via graph metanetworks", 2025 (arXiv 2506.12041). With x the features of nodes
and E those of edges (`structure.network_graph`), n = Linear x, e = Linear E, and in each layer, of n' = LayerNorm n:

    message of j to i    SiLU(A n'_i) · SiLU(B n'_j) · e_ij        their mean, deviation, maximum and minimum go through
                                                                   a linear layer to the change of n_i
    change of e_ij       SiLU(C n'_j) · SiLU(D n'_i) · e_ij

once from outputs to inputs, and once against that, with the same weights and with e · s in place of e, where s is 1 on
the first half of the features and -1 on the others. Both changes of nodes are added, of edges the second by s. Then
E + r · MLP(e) and x + r · MLP(n), with a small r, are the new network. Sums and maxima over edges are this library's
kernels. Training is in `meta_training`, pruning in `meta_pruning`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer import deploy
from gossamer.errors import FileError, SettingError
from gossamer.kernels import aggregate, maximum
from gossamer.kernels.transpose import Transpose, transpose_csr
from gossamer.settings import Settings, bounded
from gossamer.structure.network_graph import DEFAULTS, TAPS, NetworkGraph

_KEY = "metanetwork"
_SMALLEST = 1e-5  # variance that is told apart from none


@dataclass(frozen=True, kw_only=True)
class MetanetworkShape(Settings):
    """The size of a metanetwork; the paper takes 8 layers of 64 for ResNet-56, of 32 for VGG-19."""

    hidden: int = bounded(16, ge=2)
    layers: int = bounded(3, ge=1)
    change: float = bounded(0.01, ge=0.0)  # r: how much of what it says is added; the paper's 0.01 and 0.05


@dataclass(frozen=True)
class Way:
    """The edges in one direction, by the node that messages arrive at.

    Attributes:
        sources, targets: (E,) the nodes of each edge.
        starts, edges: A CSR of nodes by edges: the edges that arrive at each node.
        degree: (N, 1) how many, at least 1.
        back: The CSR of edges by nodes.
    """

    sources: Tensor
    targets: Tensor
    starts: Tensor
    edges: Tensor
    degree: Tensor
    back: Transpose

    @classmethod
    def between(cls, sources: Tensor, targets: Tensor, nodes: int) -> Way:
        """Sorts edges by their target."""
        edges = targets.argsort(stable=True)
        counts = torch.bincount(targets, minlength=nodes)
        starts = F.pad(counts.cumsum(0), (1, 0))
        back = transpose_csr(starts, edges, len(edges))
        return cls(sources, targets, starts, edges, counts.clamp_min(1)[:, None].float(), back)

    def pooled(self, messages: Tensor) -> Tensor:
        """Returns mean, deviation, maximum and minimum of the messages, (E, F), that arrive at each node, (N, 4 F)."""
        mean = aggregate(self.starts, self.edges, messages, transpose=self.back) / self.degree
        square = aggregate(self.starts, self.edges, messages * messages, transpose=self.back) / self.degree
        deviation = ((square - mean * mean).clamp_min(0.0) + _SMALLEST).sqrt()
        largest = maximum(self.starts, self.edges, messages, transpose=self.back)
        smallest = -maximum(self.starts, self.edges, -messages, transpose=self.back)
        return torch.cat([mean, deviation, largest, smallest], 1)


class Convolution(nn.Module):
    """Messages along one direction; see the module."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.sent = nn.Linear(hidden, hidden)
        self.met = nn.Linear(hidden, hidden)
        self.edge_source = nn.Linear(hidden, hidden)
        self.edge_target = nn.Linear(hidden, hidden)
        self.out = nn.Linear(4 * hidden, hidden)

    def forward(self, nodes: Tensor, edges: Tensor, way: Way) -> tuple[Tensor, Tensor]:
        """Returns the changes of nodes, (N, F), and of edges, (E, F)."""
        sent, met = F.silu(self.sent(nodes))[way.sources], F.silu(self.met(nodes))[way.targets]
        source, target = F.silu(self.edge_source(nodes)), F.silu(self.edge_target(nodes))
        return self.out(way.pooled(met * sent * edges)), source[way.sources] * target[way.targets] * edges


class Metanetwork(nn.Module):
    """Maps the features of a network's graph to new ones.

    Args:
        shape: Its size.
    """

    signs: Tensor

    def __init__(self, shape: MetanetworkShape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.shape = shape
        self.nodes = nn.Linear(len(DEFAULTS), hidden)
        self.edges = nn.Linear(TAPS, hidden)
        self.layers = nn.ModuleList(Convolution(hidden) for _ in range(shape.layers))
        self.to_nodes = _decoder(hidden, len(DEFAULTS))
        self.to_edges = _decoder(hidden, TAPS)
        signs = torch.ones(hidden)
        signs[hidden // 2 :] = -1.0
        self.register_buffer("signs", signs, persistent=False)

    def forward(self, graph: NetworkGraph, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Returns new features of nodes, (N, 5), and of edges, (E, 9), from those that `graph.encode` returned."""
        forth = Way.between(graph.outputs, graph.inputs, graph.num_nodes)
        back = Way.between(graph.inputs, graph.outputs, graph.num_nodes)
        n, e = self.nodes(x), self.edges(edges)
        for layer in self.layers:
            normed = F.layer_norm(n, n.shape[-1:])
            nodes_forth, edges_forth = layer(normed, e, forth)
            nodes_back, edges_back = layer(normed, self.signs * e, back)
            n = n + nodes_forth + nodes_back
            e = e + edges_forth + self.signs * edges_back
        return x + self.shape.change * self.to_nodes(n), edges + self.shape.change * self.to_edges(e)

    def rewrite(self, graph: NetworkGraph, model: nn.Module) -> dict[str, Tensor]:
        """Returns the parameters that it gives a network, by name; differentiable in its own weights."""
        return graph.decode(*self(graph, *graph.encode(model)))

    def save(self, path: str | Path) -> Path:
        """Writes it to one file, for `meta-pruning[metanetwork=...]` and `load`; raises FileError if it cannot."""
        return deploy.save(path, self, metadata={_KEY: self.shape.to_json()})

    @classmethod
    def load(cls, path: str | Path) -> Metanetwork:
        """Reads what `save` wrote.

        Raises:
            FileError: The file is missing, damaged, or holds another network.
        """
        metadata: dict[str, Any] = deploy.read_plan(path).metadata
        try:
            shape = MetanetworkShape.from_json(metadata[_KEY])
        except (KeyError, SettingError) as error:
            raise FileError(f"{path}: holds no metanetwork; expected a file made by Metanetwork.save()") from error
        loaded = deploy.load(path, cls(shape))
        assert isinstance(loaded, cls)
        return loaded


def _decoder(hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, out))
