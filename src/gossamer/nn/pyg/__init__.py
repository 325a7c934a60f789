"""Layers that compute what PyTorch Geometric's compute, through this library's kernels; found by `adopt`."""

from gossamer.nn.pyg.adopted import Adopted as Adopted
from gossamer.nn.pyg.attention import AdoptedGAT as AdoptedGAT
from gossamer.nn.pyg.attention import AdoptedGATv2 as AdoptedGATv2
from gossamer.nn.pyg.attention import AdoptedTransformer as AdoptedTransformer
from gossamer.nn.pyg.kinds import adopt as adopt
from gossamer.nn.pyg.kinds import kind_of as kind_of
from gossamer.nn.pyg.neighbours import AdoptedGIN as AdoptedGIN
from gossamer.nn.pyg.neighbours import AdoptedSAGE as AdoptedSAGE
from gossamer.nn.pyg.normalized import AdoptedAPPNP as AdoptedAPPNP
from gossamer.nn.pyg.normalized import AdoptedGCN as AdoptedGCN
from gossamer.nn.pyg.normalized import AdoptedSG as AdoptedSG

__all__ = [
    "Adopted",
    "AdoptedAPPNP",
    "AdoptedGAT",
    "AdoptedGATv2",
    "AdoptedGCN",
    "AdoptedGIN",
    "AdoptedSAGE",
    "AdoptedSG",
    "AdoptedTransformer",
    "adopt",
    "kind_of",
]
