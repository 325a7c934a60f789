"""Layers that take `(x, graph)`: graph convolutions, and the dense and sparse pieces they are made of."""

from gossamer.nn.appnp import APPNP as APPNP
from gossamer.nn.attention import edge_softmax as edge_softmax
from gossamer.nn.binary import BinaryWeights as BinaryWeights
from gossamer.nn.coded import CodedConv2d as CodedConv2d
from gossamer.nn.coded import CodedLinear as CodedLinear
from gossamer.nn.coded import CodedWeights as CodedWeights
from gossamer.nn.coded import Steps as Steps
from gossamer.nn.dropout import dropout as dropout
from gossamer.nn.gat import GATConv as GATConv
from gossamer.nn.gcn import GCNConv as GCNConv
from gossamer.nn.gin import GINConv as GINConv
from gossamer.nn.linear import Features as Features
from gossamer.nn.linear import Linear as Linear
from gossamer.nn.quantized import FewBitsWeights as FewBitsWeights
from gossamer.nn.quantized import Int8Weights as Int8Weights
from gossamer.nn.sage import SAGEConv as SAGEConv
from gossamer.nn.sparse import BlockConv2d as BlockConv2d
from gossamer.nn.sparse import BlockLinear as BlockLinear
from gossamer.nn.sparse import CompactConv2d as CompactConv2d
from gossamer.nn.sparse import CompactLinear as CompactLinear
from gossamer.nn.sparse import CSRConv2d as CSRConv2d
from gossamer.nn.sparse import CSRLinear as CSRLinear
from gossamer.nn.ternary import TernaryWeights as TernaryWeights

__all__ = [
    "APPNP",
    "BinaryWeights",
    "BlockConv2d",
    "BlockLinear",
    "CSRConv2d",
    "CSRLinear",
    "CodedConv2d",
    "CodedLinear",
    "CodedWeights",
    "CompactConv2d",
    "CompactLinear",
    "Features",
    "FewBitsWeights",
    "GATConv",
    "GCNConv",
    "GINConv",
    "Int8Weights",
    "Linear",
    "SAGEConv",
    "Steps",
    "TernaryWeights",
    "dropout",
    "edge_softmax",
]
