"""Networks of PyTorch Geometric, and two layers of every convolution of it that has learnable channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.nn import conv
from torch_geometric.nn.models import basic_gnn

Case = Callable[[], tuple[nn.Module, Any]]
NODES, EDGES, WIDTH, HIDDEN, CLASSES, KINDS = 40, 160, 12, 32, 5, 3


def graph() -> tuple[Tensor, Tensor]:
    """Returns features (N, F) and edges (2, E) in which every node has a neighbour."""
    generator = torch.Generator().manual_seed(0)
    ring = torch.stack([torch.arange(NODES), (torch.arange(NODES) + 1) % NODES])
    edges = torch.cat([ring, torch.randint(NODES, (2, EDGES - NODES), generator=generator)], 1)
    return torch.randn(NODES, WIDTH, generator=generator), edges


def mlp(before: int, after: int) -> nn.Module:
    """Returns a perceptron of one hidden layer."""
    return nn.Sequential(nn.Linear(before, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, after))


class Two(nn.Module):
    """Two convolutions with a ReLU between; `extra` are what the layer takes beside features and edges."""

    def __init__(self, make: Callable[[int, int], nn.Module], width: int = HIDDEN) -> None:
        super().__init__()
        self.first, self.second = make(WIDTH, HIDDEN), make(width, CLASSES)

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        """Maps (N, F) to (N, classes)."""
        return self.second(_first(self.first(x, *rest)).relu(), *rest)


class Between(nn.Module):
    """A linear layer, a convolution that keeps the width, and a linear layer."""

    def __init__(self, layer: nn.Module, width: int = HIDDEN) -> None:
        super().__init__()
        self.before, self.layer, self.after = nn.Linear(WIDTH, width), layer, nn.Linear(width, CLASSES)

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        """Maps (N, F) to (N, classes)."""
        return self.after(_first(self.layer(self.before(x).relu(), *rest)).relu())


def _near(positions: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Returns all pairs of different atoms and their distances, as SchNet wants its interaction graph."""
    del batch
    pairs = (~torch.eye(len(positions), dtype=torch.bool)).nonzero().T
    return pairs, (positions[pairs[0]] - positions[pairs[1]]).norm(dim=-1)


def _first(value: Any) -> Tensor:
    return value[0] if isinstance(value, tuple) else value


def cases() -> dict[str, Case]:
    """Returns a factory of (network, example) by name."""
    x, edges = graph()
    attributes = torch.rand(EDGES, 3)
    weight = torch.rand(EDGES)
    kinds = torch.randint(KINDS, (EDGES,))
    positions = torch.rand(NODES, 3)
    plain = (x, edges)
    two: dict[str, tuple[Callable[[int, int], nn.Module], tuple[Any, ...], int]] = {
        "GCNConv": (conv.GCNConv, plain, HIDDEN),
        "ChebConv": (lambda i, o: conv.ChebConv(i, o, 3), plain, HIDDEN),
        "SAGEConv": (conv.SAGEConv, plain, HIDDEN),
        "SAGEConv-lstm": (lambda i, o: conv.SAGEConv(i, o, aggr="lstm"), (x, edges[:, edges[1].argsort()]), HIDDEN),
        "SAGEConv-project": (lambda i, o: conv.SAGEConv(i, o, project=True, normalize=True), plain, HIDDEN),
        "GraphConv": (conv.GraphConv, (x, edges, weight), HIDDEN),
        "ResGatedGraphConv": (conv.ResGatedGraphConv, plain, HIDDEN),
        "GATConv": (lambda i, o: conv.GATConv(i, o, heads=4, concat=o != CLASSES), plain, 4 * HIDDEN),
        "GATConv-edges": (
            lambda i, o: conv.GATConv(i, o, heads=4, concat=o != CLASSES, edge_dim=3),
            (*plain, attributes),
            4 * HIDDEN,
        ),
        "GATv2Conv": (lambda i, o: conv.GATv2Conv(i, o, heads=4, concat=o != CLASSES), plain, 4 * HIDDEN),
        "TransformerConv": (lambda i, o: conv.TransformerConv(i, o, heads=4, concat=o != CLASSES), plain, 4 * HIDDEN),
        "TransformerConv-beta": (
            lambda i, o: conv.TransformerConv(i, o, heads=4, concat=o != CLASSES, beta=True),
            plain,
            4 * HIDDEN,
        ),
        "TAGConv": (conv.TAGConv, plain, HIDDEN),
        "GINConv": (lambda i, o: conv.GINConv(mlp(i, o)), plain, HIDDEN),
        "GINEConv": (lambda i, o: conv.GINEConv(mlp(i, o), edge_dim=3), (*plain, attributes), HIDDEN),
        "ARMAConv": (lambda i, o: conv.ARMAConv(i, o, num_stacks=2, num_layers=2), plain, HIDDEN),
        "SGConv": (lambda i, o: conv.SGConv(i, o, K=2), plain, HIDDEN),
        "SSGConv": (lambda i, o: conv.SSGConv(i, o, alpha=0.1, K=2), plain, HIDDEN),
        "MFConv": (lambda i, o: conv.MFConv(i, o, max_degree=4), plain, HIDDEN),
        "RGCNConv": (lambda i, o: conv.RGCNConv(i, o, KINDS), (*plain, kinds), HIDDEN),
        "RGCNConv-bases": (lambda i, o: conv.RGCNConv(i, o, KINDS, num_bases=4), (*plain, kinds), HIDDEN),
        "RGCNConv-blocks": (
            lambda i, o: conv.RGCNConv(i, o if o != CLASSES else 8, KINDS, num_blocks=4),
            (*plain, kinds),
            HIDDEN,
        ),
        "FastRGCNConv": (lambda i, o: conv.FastRGCNConv(i, o, KINDS), (*plain, kinds), HIDDEN),
        "RGATConv": (
            lambda i, o: conv.RGATConv(i, o, KINDS, heads=4, concat=o != CLASSES),
            (*plain, kinds),
            4 * HIDDEN,
        ),
        "GMMConv": (lambda i, o: conv.GMMConv(i, o, dim=3, kernel_size=4), (*plain, attributes), HIDDEN),
        "NNConv": (lambda i, o: conv.NNConv(i, o, mlp(3, i * o)), (*plain, attributes), HIDDEN),
        "EdgeConv": (lambda i, o: conv.EdgeConv(mlp(2 * i, o)), plain, HIDDEN),
        "FeaStConv": (lambda i, o: conv.FeaStConv(i, o, heads=4), plain, HIDDEN),
        "HypergraphConv": (conv.HypergraphConv, plain, HIDDEN),
        "LEConv": (conv.LEConv, plain, HIDDEN),
        "PNAConv": (
            lambda i, o: conv.PNAConv(i, o, ["mean", "max", "std"], ["identity", "amplification"], torch.arange(1, 9)),
            plain,
            HIDDEN,
        ),
        "PNAConv-towers": (
            lambda i, o: conv.PNAConv(
                i, 8 if o == CLASSES else o, ["mean", "min"], ["identity"], torch.arange(1, 9), edge_dim=3, towers=4
            ),
            (*plain, attributes),
            HIDDEN,
        ),
        "ClusterGCNConv": (conv.ClusterGCNConv, plain, HIDDEN),
        "GENConv": (conv.GENConv, plain, HIDDEN),
        "FiLMConv": (lambda i, o: conv.FiLMConv(i, o, KINDS), (*plain, kinds), HIDDEN),
        "SuperGATConv": (lambda i, o: conv.SuperGATConv(i, o, heads=4, concat=o != CLASSES), plain, 4 * HIDDEN),
        "EGConv": (lambda i, o: conv.EGConv(i, 8 if o == CLASSES else o, num_heads=4, num_bases=4), plain, HIDDEN),
        "PDNConv": (lambda i, o: conv.PDNConv(i, o, edge_dim=3, hidden_channels=HIDDEN), (*plain, attributes), HIDDEN),
        "GeneralConv": (conv.GeneralConv, plain, HIDDEN),
        "GeneralConv-attention": (lambda i, o: conv.GeneralConv(i, o, attention=True, heads=4), plain, HIDDEN),
        "HEATConv": (
            lambda i, o: conv.HEATConv(i, o, KINDS, KINDS, 8, 3, 8, heads=4, concat=o != CLASSES),
            (*plain, torch.randint(KINDS, (NODES,)), kinds, attributes),
            4 * HIDDEN,
        ),
        "MixHopConv": (conv.MixHopConv, plain, 3 * HIDDEN),
    }
    found: dict[str, Case] = {}
    for name, (make, example, width) in two.items():
        found[f"pyg/{name}"] = _case(lambda make=make, width=width: Two(make, width), example)
    same = {
        "GatedGraphConv": (lambda: conv.GatedGraphConv(HIDDEN, 3), plain),
        "AGNNConv": (conv.AGNNConv, plain),
        "APPNP": (lambda: conv.APPNP(3, 0.1), plain),
        "GCN2Conv": (_GCN2, plain),
        "FAConv": (_FA, plain),
        "LGConv": (conv.LGConv, plain),
        "SimpleConv": (conv.SimpleConv, plain),
        "WLConvContinuous": (conv.WLConvContinuous, plain),
        "CGConv": (lambda: conv.CGConv(HIDDEN, dim=3, batch_norm=True), (*plain, attributes)),
        "GPSConv": (lambda: conv.GPSConv(HIDDEN, conv.GCNConv(HIDDEN, HIDDEN), heads=4), plain),
        "GPSConv-performer": (
            lambda: conv.GPSConv(HIDDEN, conv.GCNConv(HIDDEN, HIDDEN), heads=4, attn_type="performer"),
            plain,
        ),
        "AntiSymmetricConv": (lambda: conv.AntiSymmetricConv(HIDDEN), plain),
        "DirGNNConv": (lambda: conv.DirGNNConv(conv.SAGEConv(HIDDEN, HIDDEN)), plain),
        "DNAConv": (_DNA, plain),
        "SignedConv": (_Signed, plain),
        "PointNetConv": (lambda: conv.PointNetConv(mlp(HIDDEN + 3, HIDDEN), mlp(HIDDEN, HIDDEN)), None),
        "PointTransformerConv": (lambda: conv.PointTransformerConv(HIDDEN, HIDDEN), None),
        "PointGNNConv": (
            lambda: conv.PointGNNConv(mlp(HIDDEN, 3), mlp(3 + HIDDEN, HIDDEN), mlp(HIDDEN, HIDDEN)),
            None,
        ),
        "PPFConv": (lambda: conv.PPFConv(mlp(HIDDEN + 4, HIDDEN), mlp(HIDDEN, HIDDEN)), "normals"),
        "MeshCNNConv": (lambda: conv.MeshCNNConv(HIDDEN, HIDDEN), "mesh"),
    }
    ring = torch.stack([torch.arange(NODES).repeat_interleave(4), torch.randint(NODES, (4 * NODES,))])
    examples = {
        "None": (x, positions, edges),
        "normals": (x, positions, nn.functional.normalize(torch.randn(NODES, 3), dim=1), edges),
        "mesh": (x, ring),
    }
    for name, (layer, example) in same.items():
        given = examples.get(str(example)) if example is None or isinstance(example, str) else example
        found[f"pyg/{name}"] = _case(lambda layer=layer: Between(layer()), given)
    found["pyg/HypergraphConv-attention"] = _case(_Attending, (*plain, torch.rand(NODES, WIDTH)))
    found |= _models(x, edges, attributes, kinds)
    return found


def _case(make: Callable[[], nn.Module], example: Any) -> Case:
    return lambda: (make(), example)


class _Attending(nn.Module):
    """A hypergraph convolution with attention, whose edges have features, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = conv.HypergraphConv(WIDTH, 8, use_attention=True, heads=4), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor, edges: Tensor, features: Tensor) -> Tensor:
        return self.out(self.layer(x, edges, hyperedge_attr=features).relu())


class _GCN2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv.GCN2Conv(HIDDEN, 0.1, 0.5, layer) for layer in (1, 2))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        start = x
        for layer in self.layers:
            x = layer(x, start, edges).relu()
        return x


class _FA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = conv.FAConv(HIDDEN)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return self.layer(x, x, edges)


class _DNA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = conv.DNAConv(HIDDEN, heads=4, groups=4)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return self.layer(torch.stack([x, x.relu()], 1), edges)


class _Signed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = conv.SignedConv(HIDDEN, HIDDEN // 2, first_aggr=True)
        self.second = conv.SignedConv(HIDDEN // 2, HIDDEN // 2, first_aggr=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        half = edges.shape[1] // 2
        signs = (edges[:, :half], edges[:, half:])
        return self.second(self.first(x, *signs).relu(), *signs)


class _Deep(nn.Module):
    """DeeperGCN: residual blocks of GENConv with pre-activation."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(WIDTH, HIDDEN)
        self.layers = nn.ModuleList(
            pyg.DeepGCNLayer(
                conv.GENConv(HIDDEN, HIDDEN, aggr="softmax", t=1.0, learn_t=True, num_layers=2),
                nn.LayerNorm(HIDDEN),
                nn.ReLU(),
                block=block,
            )
            for block in ("res+", "res", "plain")
        )
        self.dense = pyg.DeepGCNLayer(conv.GCNConv(HIDDEN, HIDDEN), nn.LayerNorm(HIDDEN), nn.ReLU(), block="dense")
        self.end = nn.Linear(2 * HIDDEN, CLASSES)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        x = self.start(x)
        for layer in self.layers:
            x = layer(x, edges)
        return self.end(self.dense(x, edges))


class _Kinds(nn.Module):
    """A network on a graph of two kinds of nodes, made by `to_hetero`."""

    def __init__(self) -> None:
        super().__init__()
        inner = basic_gnn.GraphSAGE((-1, -1), HIDDEN, 3, CLASSES)
        metadata = (["a", "b"], [("a", "to", "b"), ("b", "to", "a"), ("a", "next", "a")])
        self.inner = pyg.to_hetero(inner, metadata, aggr="sum")
        self.inner.eval()
        with torch.no_grad():
            self.inner(*kinds_example())

    def forward(self, x: dict[str, Tensor], edges: dict[Any, Tensor]) -> dict[str, Tensor]:
        return self.inner(x, edges)


def kinds_example() -> tuple[Any, ...]:
    """Returns features and edges of a graph of two kinds of nodes."""
    x, edges = graph()
    features = {"a": x, "b": x[:, :8]}
    return features, {("a", "to", "b"): edges, ("b", "to", "a"): edges.flip(0), ("a", "next", "a"): edges}


class _Hetero(nn.Module):
    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.layer, self.out = make(), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: dict[str, Tensor], edges: dict[Any, Tensor]) -> dict[str, Tensor]:
        return {kind: self.out(value.relu()) for kind, value in self.layer(x, edges).items()}


class _Edges(nn.Module):
    """EdgeCNN with a mean over each graph, and a classifier on it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = basic_gnn.EdgeCNN(WIDTH, HIDDEN, 3)
        self.out = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor, edges: Tensor, batch: Tensor) -> Tensor:
        return self.out(pyg.global_mean_pool(self.inner(x, edges), batch))


class _Pooled(nn.Module):
    """A convolution, top-k pooling, whose sizes depend on data, another, and three readouts."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv.GraphConv(WIDTH, HIDDEN), conv.GraphConv(HIDDEN, HIDDEN)
        self.pool = pyg.TopKPooling(HIDDEN, ratio=0.5)
        self.out = nn.Linear(3 * HIDDEN, CLASSES)

    def forward(self, x: Tensor, edges: Tensor, batch: Tensor) -> Tensor:
        x = self.first(x, edges).relu()
        x, edges, _, batch, _, _ = self.pool(x, edges, batch=batch)
        x = self.second(x, edges).relu()
        parts = [pool(x, batch) for pool in (pyg.global_mean_pool, pyg.global_max_pool, pyg.global_add_pool)]
        return self.out(torch.cat(parts, 1))


def _models(x: Tensor, edges: Tensor, attributes: Tensor, kinds: Tensor) -> dict[str, Case]:
    batch = torch.arange(NODES) // (NODES // 2)
    pna = {"aggregators": ["mean", "max"], "scalers": ["identity", "attenuation"], "deg": torch.arange(1, 9)}
    pair = ({"a": x, "b": torch.randn(NODES, 8)}, kinds_example()[1])
    metadata = (["a", "b"], [*kinds_example()[1]])
    found: dict[str, Case] = {
        "pyg/GCN": _case(lambda: basic_gnn.GCN(WIDTH, HIDDEN, 3, CLASSES, norm="batch"), (x, edges)),
        "pyg/GraphSAGE": _case(lambda: basic_gnn.GraphSAGE(WIDTH, HIDDEN, 3, CLASSES, norm="layer"), (x, edges)),
        "pyg/GIN": _case(lambda: basic_gnn.GIN(WIDTH, HIDDEN, 3, CLASSES), (x, edges)),
        "pyg/GAT": _case(lambda: basic_gnn.GAT(WIDTH, HIDDEN, 3, CLASSES, heads=4), (x, edges)),
        "pyg/GATv2": _case(lambda: basic_gnn.GAT(WIDTH, HIDDEN, 3, CLASSES, heads=4, v2=True), (x, edges)),
        "pyg/PNA": _case(lambda: basic_gnn.PNA(WIDTH, HIDDEN, 3, CLASSES, **pna), (x, edges)),
        "pyg/EdgeCNN": _case(_Edges, (x, edges, batch)),
        **{
            f"pyg/JumpingKnowledge-{jk}": _case(
                lambda jk=jk: basic_gnn.GCN(WIDTH, HIDDEN, 3, CLASSES, jk=jk), (x, edges)
            )
            for jk in ("cat", "max", "lstm", "last")
        },
        "pyg/DeepGCN": _case(_Deep, (x, edges)),
        "pyg/GraphUNet": _case(lambda: pyg.GraphUNet(WIDTH, HIDDEN, CLASSES, depth=2), (x, edges)),
        "pyg/TopKPooling": _case(_Pooled, (x, edges, batch)),
        "pyg/SchNet": _case(
            lambda: pyg.SchNet(
                hidden_channels=32, num_filters=32, num_interactions=2, num_gaussians=16, interaction_graph=_near
            ),
            (torch.randint(1, 9, (12,)), torch.rand(12, 3) * 4, torch.zeros(12).long()),
        ),
        "pyg/AttentiveFP": _case(
            lambda: pyg.AttentiveFP(WIDTH, HIDDEN, CLASSES, 3, 2, 2), (x, edges, attributes, batch)
        ),
        "pyg/to_hetero-SAGE": _case(_Kinds, kinds_example()),
        "pyg/HeteroConv": _case(
            lambda: _Hetero(
                lambda: pyg.HeteroConv(
                    {
                        ("a", "to", "b"): conv.SAGEConv((WIDTH, 8), HIDDEN),
                        ("b", "to", "a"): conv.GATConv((8, WIDTH), HIDDEN // 4, heads=4, add_self_loops=False),
                        ("a", "next", "a"): conv.GCNConv(WIDTH, HIDDEN),
                    }
                )
            ),
            pair,
        ),
        "pyg/HGTConv": _case(
            lambda: _Hetero(lambda: conv.HGTConv({"a": WIDTH, "b": 8}, HIDDEN, metadata, heads=4)), pair
        ),
        "pyg/HANConv": _case(
            lambda: _Hetero(lambda: conv.HANConv({"a": WIDTH, "b": 8}, HIDDEN, metadata, heads=4)), pair
        ),
        "pyg/RECT": _case(lambda: pyg.RECT_L(WIDTH, HIDDEN), (x, edges)),
    }
    return found
