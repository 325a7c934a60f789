"""Layers that take `(x, graph)`: graph convolutions, and the dense and sparse pieces they are made of."""

from gossamer.kernels.conv2d import Steps as Steps
from gossamer.nn.appnp import APPNP as APPNP
from gossamer.nn.binary import BinaryWeights as BinaryWeights
from gossamer.nn.coded import CodedConv2d as CodedConv2d
from gossamer.nn.coded import CodedLinear as CodedLinear
from gossamer.nn.coded import CodedWeights as CodedWeights
from gossamer.nn.compact import CompactConv2d as CompactConv2d
from gossamer.nn.compact import CompactLinear as CompactLinear
from gossamer.nn.compact_filters import ChannelShuffle as ChannelShuffle
from gossamer.nn.compact_filters import CReLU as CReLU
from gossamer.nn.compact_filters import DepthwiseSeparable as DepthwiseSeparable
from gossamer.nn.compact_filters import Fire as Fire
from gossamer.nn.compact_filters import MultiBias as MultiBias
from gossamer.nn.compact_filters import ShuffleUnit as ShuffleUnit
from gossamer.nn.cyclic import CyclicPool as CyclicPool
from gossamer.nn.cyclic import TurnedConv2d as TurnedConv2d
from gossamer.nn.displacement import ToeplitzLike as ToeplitzLike
from gossamer.nn.dropout import dropout as dropout
from gossamer.nn.erased import Erased as Erased
from gossamer.nn.factorized import Factorized as Factorized
from gossamer.nn.fastfood import Fastfood as Fastfood
from gossamer.nn.few_bits_int8 import FewBitsInt8Weights as FewBitsInt8Weights
from gossamer.nn.gat import GATConv as GATConv
from gossamer.nn.gcn import GCNConv as GCNConv
from gossamer.nn.gin import GINConv as GINConv
from gossamer.nn.linear import Features as Features
from gossamer.nn.linear import Linear as Linear
from gossamer.nn.quantized import FewBitsWeights as FewBitsWeights
from gossamer.nn.quantized import Int8Weights as Int8Weights
from gossamer.nn.regrow import drop_and_grow as drop_and_grow
from gossamer.nn.regrow import recorded as recorded
from gossamer.nn.regrow import remap as remap
from gossamer.nn.sage import SAGEConv as SAGEConv
from gossamer.nn.sharing import SharedConv2d as SharedConv2d
from gossamer.nn.sharing import SharedLinear as SharedLinear
from gossamer.nn.sparse import SparseConv2d as SparseConv2d
from gossamer.nn.sparse import SparseLinear as SparseLinear
from gossamer.nn.ternary import TernaryWeights as TernaryWeights
from gossamer.nn.top_k import TopKReLU as TopKReLU

__all__ = [
    "APPNP",
    "BinaryWeights",
    "CReLU",
    "ChannelShuffle",
    "CodedConv2d",
    "CodedLinear",
    "CodedWeights",
    "CompactConv2d",
    "CompactLinear",
    "CyclicPool",
    "DepthwiseSeparable",
    "Erased",
    "Factorized",
    "Fastfood",
    "Features",
    "FewBitsInt8Weights",
    "FewBitsWeights",
    "Fire",
    "GATConv",
    "GCNConv",
    "GINConv",
    "Int8Weights",
    "Linear",
    "MultiBias",
    "SAGEConv",
    "SharedConv2d",
    "SharedLinear",
    "ShuffleUnit",
    "SparseConv2d",
    "SparseLinear",
    "Steps",
    "TernaryWeights",
    "ToeplitzLike",
    "TopKReLU",
    "TurnedConv2d",
    "drop_and_grow",
    "dropout",
    "recorded",
    "remap",
]
