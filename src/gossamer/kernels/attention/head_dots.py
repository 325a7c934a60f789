"""Dot products of each node's heads with vectors that all nodes share: the scores of additive attention.

    out[k, n, h] = x[n, h] · vectors[k, h]

One pass over the nodes for all vectors, forward and backward; a batched matrix product takes several times as long for
so few of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.checks import check_float, describe
from gossamer.kernels.library import register


def head_dots(x: Tensor, vectors: Tensor) -> Tensor:
    """Returns the products of every node's heads with every vector's.

    float32 on the CPU runs natively, with a result that does not depend on the number of threads; subnormal numbers
    count as zero there. Gradients reach both, to first order.

    Args:
        x: (N, H, F) floating point.
        vectors: (K, H, F), like `x`.

    Returns:
        (K, N, H).

    Raises:
        DataError: An argument has the wrong dtype, shape or device.

    >>> head_dots(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), torch.tensor([[[1.0, 1.0]]]))
    tensor([[[3.],
             [7.]]])
    """
    check_float(x, "x")
    check_float(vectors, "vectors", like=x)
    if x.dim() != 3:
        raise DataError(f"x: expected shape (nodes, heads, features), found {describe(x)}")
    if vectors.dim() != 3 or vectors.shape[1:] != x.shape[1:] or vectors.device != x.device:
        wanted = f"(count, {x.shape[1]}, {x.shape[2]}) on {x.device}"
        raise DataError(f"vectors: expected shape {wanted}, found {describe(vectors)} on {vectors.device}")
    return HEAD_DOTS(x, vectors)  # type: ignore[no-any-return]


def head_dots_reference(x: Tensor, vectors: Tensor) -> Tensor:
    """The pure-torch reference of `head_dots`."""
    return torch.einsum("nhf,khf->knh", x, vectors).contiguous()


def head_dots_back_reference(x: Tensor, vectors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x (N, H, F) and of the vectors (K, H, F), from grad (K, N, H)."""
    return torch.einsum("knh,khf->nhf", grad, vectors).contiguous(), torch.einsum("knh,nhf->khf", grad, x).contiguous()


def _cpu(x: Tensor, vectors: Tensor) -> Tensor:
    module = native.kernels()
    if module is None or x.dtype is not torch.float32:
        return head_dots_reference(x, vectors)
    x, vectors = x.contiguous(), vectors.contiguous()
    out = torch.empty(vectors.shape[0], *x.shape[:2])
    sizes = (*x.shape, vectors.shape[0])
    module.head_dots(*sizes, x.data_ptr(), vectors.data_ptr(), out.data_ptr(), torch.get_num_threads())
    return out


def _back_cpu(x: Tensor, vectors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    module = native.kernels()
    if module is None or x.dtype is not torch.float32:
        return head_dots_back_reference(x, vectors, grad)
    x, vectors, grad = x.contiguous(), vectors.contiguous(), grad.contiguous()
    x_grad, vectors_grad = native.empty(*x.shape), torch.empty(vectors.shape)
    given = (x.data_ptr(), vectors.data_ptr(), grad.data_ptr(), x_grad.data_ptr(), vectors_grad.data_ptr())
    module.head_dots_back(*x.shape, vectors.shape[0], *given, torch.get_num_threads())
    return x_grad, vectors_grad


def _fake(x: Tensor, vectors: Tensor) -> Tensor:
    return x.new_empty(vectors.shape[0], *x.shape[:2])


def _back_fake(x: Tensor, vectors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), vectors.new_empty(vectors.shape)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    return HEAD_DOTS_BACK(*ctx.saved_tensors, grad)  # type: ignore[no-any-return]


HEAD_DOTS = register(
    "head_dots(Tensor x, Tensor vectors) -> Tensor",
    cpu=_cpu,
    reference=head_dots_reference,
    fake=_fake,
    backward=_backward,
    save=_save,
)
HEAD_DOTS_BACK = register(
    "head_dots_back(Tensor x, Tensor vectors, Tensor grad) -> (Tensor, Tensor)",
    cpu=_back_cpu,
    reference=head_dots_back_reference,
    fake=_back_fake,
)
