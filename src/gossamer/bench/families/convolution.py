"""Sparse convolutions against dense ones, and a residual network of them against the compiled dense network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from gossamer.bench.case import Case, Patience, Peer
from gossamer.bench.families.layers import prune
from gossamer.deploy import accelerate
from gossamer.models import build
from gossamer.nn import SparseConv2d


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    for images in (1, 16) if patience.full else (1,):
        x = torch.randn(images, 128, 28, 28)
        for sparsity, bar in ((0.8, 3.0), (0.9, 5.0)):
            dense = nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False)
            prune(dense, sparsity, "blocks")
            sparse = SparseConv2d.from_dense(dense, "blocks")
            nonzeros = int(dense.weight.count_nonzero())
            yield Case(
                f"128 to 128, 3x3, 28x28, {sparsity:.0%} zeros, batch {images}",
                partial(sparse, x),
                (Peer("dense", partial(dense, x), bar),),
                flops=2.0 * nonzeros * images * 28 * 28,
                bytes=4.0 * (nonzeros + 2 * x.numel()),
            )
    if patience.full:
        yield from _network()


def _network() -> Iterator[Case]:
    """ResNet-20 for images of 32 x 32, 90 % zeros, as `accelerate` deploys it; both compiled."""
    dense = build("resnet20", in_channels=3, classes=10).eval().requires_grad_(False)
    for layer in dense.modules():
        if isinstance(layer, nn.Conv2d):
            prune(layer, 0.9, "blocks")
    theirs = torch.compile(dense)
    for images, bar in ((32, 2.5), (1, 1.5)):
        x = torch.randn(images, 3, 32, 32)
        ours = torch.compile(accelerate(dense, (x,), threads=1).model)
        yield Case(
            f"ResNet-20, 32x32, 90% zeros, batch {images}, both compiled",
            partial(ours, x),
            (Peer("dense", partial(theirs, x), bar),),
        )
