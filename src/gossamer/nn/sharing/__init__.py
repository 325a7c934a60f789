"""Layers whose weights follow from fewer numbers: hashed, from codebooks, circulant, transferred from other filters."""

from gossamer.nn.sharing.circulant import Circulant as Circulant
from gossamer.nn.sharing.codebook import Codebook as Codebook
from gossamer.nn.sharing.form import Form as Form
from gossamer.nn.sharing.form import SharedWeights as SharedWeights
from gossamer.nn.sharing.hashed import Hashed as Hashed
from gossamer.nn.sharing.layers import Shared as Shared
from gossamer.nn.sharing.layers import SharedConv2d as SharedConv2d
from gossamer.nn.sharing.layers import SharedLinear as SharedLinear
from gossamer.nn.sharing.layers import shared_like as shared_like
from gossamer.nn.sharing.linear import Linear as Linear
from gossamer.nn.sharing.product import Product as Product
from gossamer.nn.sharing.tie import Tie as Tie
from gossamer.nn.sharing.transferred import Transferred as Transferred

__all__ = [
    "Circulant",
    "Codebook",
    "Form",
    "Hashed",
    "Linear",
    "Product",
    "Shared",
    "SharedConv2d",
    "SharedLinear",
    "SharedWeights",
    "Tie",
    "Transferred",
    "shared_like",
]
