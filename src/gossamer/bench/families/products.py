"""Products of sparse linear layers with a batch; the families `csr` and `blocks` are its two kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from gossamer.bench.case import Call, Case, Patience, Peer
from gossamer.bench.families.layers import product_bytes, product_flops, prune, torch_csr
from gossamer.nn import SparseLinear

Bars = Mapping[tuple[float, bool], float]  # (sparsity, whether the batch is large) -> times as fast as dense
_SHAPES = {(1024, 1024): 256, (512, 1152): 768}  # (outputs, inputs): the large batch


def products(
    kernel: Literal["csr", "blocks"], bars: Bars, sparse_bar: float | None, patience: Patience
) -> Iterator[Case]:
    """Yields products with the weights of a layer; the dense layer, and for CSR torch.sparse, are the peers.

    Args:
        kernel: What the layer's weights are stored as.
        bars: How many times as fast as the dense layer.
        sparse_bar: How many times as fast as torch.sparse, from 70 % zeros.
        patience: Quick: the large batch and one example, at fewer sparsities.
    """
    shapes = [(*shape, large) for shape, large in _SHAPES.items()] if patience.full else [(1024, 1024, 256)]
    sparsities = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95) if patience.full else (0.5, 0.9)
    for rows, columns, large in shapes:
        for sparsity in sparsities:
            if kernel == "csr" and not sparsity:
                continue
            dense = nn.Linear(columns, rows).requires_grad_(False)
            prune(dense, sparsity, kernel)
            sparse = SparseLinear.from_dense(dense, kernel)
            for batch in (1, 2, 4, 8, 64, large) if patience.full else (1, large):
                if batch not in {1, large} and sparsity != 0.9:
                    continue
                x = torch.randn(batch, columns)
                bar = bars.get((sparsity, batch == large))
                if batch == 64:
                    bar = None
                peers = [Peer("dense", partial(dense, x), bar)]
                if kernel == "csr":
                    peers.append(
                        Peer("torch.sparse CSR", _torch_sparse(dense, x), sparse_bar if sparsity >= 0.7 else None)
                    )
                yield Case(
                    f"{rows}x{columns}, {sparsity:.0%} zeros, batch {batch}",
                    partial(sparse, x),
                    tuple(peers),
                    flops=product_flops(dense, batch),
                    bytes=product_bytes(dense, batch, kernel),
                )


def _torch_sparse(dense: nn.Linear, x: Tensor) -> Call:
    kept = dense.weight != 0
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)])
    weight, bias = torch_csr(indptr, kept.nonzero()[:, 1], dense.weight[kept], dense.in_features), dense.bias
    return lambda: (weight @ x.T).T + bias
