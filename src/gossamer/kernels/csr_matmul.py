"""Multiplies a sparse matrix in CSR form with a dense one, natively and with gradients.

Two layouts. `csr_matmul` takes columns: (C, B) to (R, B). `csr_linear` takes what a linear layer has, one row an
example: (..., C) to (..., R); the transposition happens tile by tile inside the kernel, while the tile is in cache.
Bias and ReLU are part of the product. It pays from about 60 % zeros on; `block_matmul` pays earlier, for a pattern it
can choose.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.aggregate import aggregate_reference
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.csr_gradients import CSR
from gossamer.kernels.library import index_error, register
from gossamer.kernels.products import ELEMENTS, by_columns, check_bias, check_values, finish, settle, wide


def csr_matmul(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Returns the product of a sparse (R, C) matrix and a dense (C, B) one.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, C).
        values: (E,) in the dtype of `x`; float32 and bfloat16 go together.
        x: (C, B), floating point.
        bias: (R,) in the dtype of `x`, added to every column, or None.
        relu: Replaces negative results by zero.

    Returns:
        (R, B) in the dtype of `x`; the gradient reaches `values`, `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.

    >>> csr_matmul(torch.tensor([0, 1, 2]), torch.tensor([1, 0]), torch.tensor([2.0, 3.0]), torch.eye(2))
    tensor([[0., 2.],
            [3., 0.]])
    """
    _check(indptr, indices, values, x, bias)
    if x.dim() != 2:
        raise DataError(f"x: expected shape (columns of the matrix, batch), found {describe(x)}")
    return CSR_PRODUCT(indptr, indices, values, x, bias, False, relu)  # type: ignore[no-any-return]


def csr_linear(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Returns `x @ W.T + bias` for a sparse (R, C) matrix W: a linear layer of R outputs.

    Args:
        indptr: (R + 1,) int64, never falling from 0 to E; the caller's word (`check_csr`).
        indices: (E,) int32 or int64 in [0, C).
        values: (E,) in the dtype of `x`; float32 and bfloat16 go together.
        x: (..., C), floating point. The transpose of a contiguous matrix is used as it lies, without a copy.
        bias: (R,) in the dtype of `x`, or None.
        relu: Replaces negative results by zero.

    Returns:
        (..., R) in the dtype of `x`; the gradient reaches `values`, `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or an index is out of range.

    >>> csr_linear(torch.tensor([0, 1, 2]), torch.tensor([1, 0]), torch.tensor([2.0, 3.0]), torch.tensor([1.0, 5.0]))
    tensor([10.,  3.])
    """
    _check(indptr, indices, values, x, bias)
    if x.dim() < 1:
        raise DataError(f"x: expected shape (..., columns of the matrix), found {describe(x)}")
    if by_columns(x):
        return CSR_PRODUCT(indptr, indices, values, x.T, bias, False, relu).T  # type: ignore[no-any-return]
    flat = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
    out = CSR_PRODUCT(indptr, indices, values, flat, bias, True, relu)
    return out if x.dim() == 2 else out.reshape(*x.shape[:-1], out.shape[1])  # type: ignore[no-any-return]


def csr_matmul_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """The pure-torch reference of `csr_matmul`: gather, scale, scatter."""
    return csr_linear_reference(indptr, indices, values, x.T, bias, relu).T.contiguous()


def csr_linear_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """The pure-torch reference of `csr_linear` for x (B, C)."""
    out = aggregate_reference(indptr, indices, wide(x).T, wide(values)).T
    return finish(out, bias, relu, x.dtype).contiguous()


def _check(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None) -> None:
    check_pattern(indptr, indices)
    check_float(x, "x")
    check_device(indptr, x, "x")
    check_values(values, x)
    check_device(indptr, values, "values")
    if values.shape != indices.shape:
        raise DataError(f"values: expected shape ({indices.shape[0]},), that of indices, found {describe(values)}")
    if bias is not None:
        check_bias(bias, x, indptr.shape[0] - 1)


def _reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None, by_example: bool, relu: bool
) -> Tensor:
    product = csr_linear_reference if by_example else csr_matmul_reference
    return product(indptr, indices, values, x, bias, relu)


def run_csr_product(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None, by_example: bool, relu: bool
) -> Tensor:
    """Runs the kernel of `csr_linear` (by example) or `csr_matmul` on the CPU.

    What those check is the caller's word here, and so is that every tensor is contiguous.
    """
    module, stored, kind = native.kernels(), ELEMENTS.get(values.dtype), ELEMENTS.get(x.dtype)
    if module is None or stored is None or kind is None:
        return _reference(indptr, indices, values, x, bias, by_example, relu)
    rows = indptr.shape[0] - 1
    batch, columns = x.shape if by_example else x.shape[::-1]
    out = x.new_empty(batch, rows) if by_example else x.new_empty(rows, batch)
    inside = module.csr_product(
        rows,
        columns,
        batch,
        indices.shape[0],
        indices.itemsize,
        stored,
        kind,
        indptr.data_ptr(),
        indices.data_ptr(),
        values.data_ptr(),
        x.data_ptr(),
        0 if bias is None else bias.data_ptr(),
        relu,
        out.data_ptr(),
        by_example,
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices", columns)
    return out


def _cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None, by_example: bool, relu: bool
) -> Tensor:
    indptr, indices, values, x, bias = settle(indptr, indices, values, x, bias)
    return run_csr_product(indptr, indices, values, x, bias, by_example, relu)


def _fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, bias: Tensor | None, by_example: bool, relu: bool
) -> Tensor:
    rows = indptr.shape[0] - 1
    return x.new_empty(x.shape[0], rows) if by_example else x.new_empty(rows, x.shape[1])


CSR_PRODUCT = register(
    "csr_product(Tensor indptr, Tensor indices, Tensor values, Tensor x, Tensor? bias, bool by_example, bool relu)"
    " -> Tensor",
    cpu=_cpu,
    reference=_reference,
    fake=_fake,
    backward=partial(CSR.product_backward, bias=4, axes=lambda by_example: 0 if by_example else 1),
    save=CSR.save_product,
)
