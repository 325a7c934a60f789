"""Products with a sparse weight of blocks, 16 rows that share their columns, against the dense layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from gossamer.bench.case import Case, Patience, Peer
from gossamer.bench.families.layers import HEIGHTS, product_flops, prune
from gossamer.bench.families.products import products
from gossamer.nn import SparseLinear

_BARS = {(0.0, True): 0.95, (0.5, True): 1.9, (0.8, True): 4.2, (0.9, True): 8.0, (0.9, False): 8.0}


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    yield from products("blocks", _BARS, None, patience)
    if patience.full:
        yield from _variants()


def _variants(side: int = 1024, batch: int = 256) -> Iterator[Case]:
    """Blocks of 8 rows against the dense layer, and both heights in bfloat16 against float32."""
    for kernel in ("blocks8", "blocks"):
        dense = nn.Linear(side, side).requires_grad_(False)
        prune(dense, 0.9, kernel)
        wide = SparseLinear.from_dense(dense, kernel)
        narrow = SparseLinear.from_dense(dense, kernel).bfloat16()
        x = torch.randn(batch, side)
        name = f"{side}x{side}, 90% zeros, batch {batch}, {HEIGHTS[kernel]} rows"
        if kernel == "blocks8":
            peers = (Peer("dense", partial(dense, x)),)
            yield Case(name, partial(wide, x), peers, flops=product_flops(dense, batch))
        peers = (Peer("ours in float32", partial(wide, x), tolerance=None),)
        yield Case(f"{name}, bfloat16", partial(narrow, x.bfloat16()), peers, flops=product_flops(dense, batch))
