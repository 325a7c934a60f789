"""What the families of sparse layers share: random zeros, and what a product has to do and to move."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

HEIGHTS = {"csr": 1, "blocks8": 8, "blocks": 16}  # rows that share their columns


def prune(layer: nn.Linear | nn.Conv2d, sparsity: float, kernel: str) -> None:
    """Zeros weights at random; in blocks, 16 or 8 outputs share their zeros."""
    weight = layer.weight
    shared = HEIGHTS[kernel]
    kept = torch.rand(-(-weight.shape[0] // shared), *weight.shape[1:]) >= sparsity
    weight.data.mul_(kept.repeat_interleave(shared, 0)[: weight.shape[0]])


def product_flops(layer: nn.Linear, batch: int) -> float:
    """Returns the operations of a product that skips the zeros."""
    return 2.0 * int(layer.weight.count_nonzero()) * batch


def product_bytes(layer: nn.Linear, batch: int, kernel: str) -> float:
    """Returns the bytes of values, column numbers, input and output."""
    nonzeros = int(layer.weight.count_nonzero())
    columns = nonzeros / HEIGHTS[kernel]
    return 4.0 * (nonzeros + columns + batch * (layer.in_features + layer.out_features))


def torch_csr(indptr: Tensor, indices: Tensor, values: Tensor, columns: int) -> Tensor:
    """Returns a sparse tensor of torch's, without its remark that this layout is young."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(indptr, indices.long(), values, (len(indptr) - 1, columns))
