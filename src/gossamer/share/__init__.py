"""Layers with fewer numbers than weights: shared weights, structured matrices, transferred and compact filters."""

from gossamer.share.block_circulant import BlockCirculant as BlockCirculant
from gossamer.share.circulant import CirculantProjection as CirculantProjection
from gossamer.share.codebook import CodebookSharing as CodebookSharing
from gossamer.share.hashing import HashedSharing as HashedSharing
from gossamer.share.linear import LinearQuantization as LinearQuantization
from gossamer.share.product import ProductSharing as ProductSharing
from gossamer.share.sharing import Sharing as Sharing
from gossamer.share.transferred import TransferredFilters as TransferredFilters

__all__ = [
    "BlockCirculant",
    "CirculantProjection",
    "CodebookSharing",
    "HashedSharing",
    "LinearQuantization",
    "ProductSharing",
    "Sharing",
    "TransferredFilters",
]
