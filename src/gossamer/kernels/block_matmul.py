"""Multiplies a matrix whose rows share their zeros in groups of 16 with a dense one.

Sixteen output rows that keep the same columns fill the lanes of one vector register: a stored column is one vector
of weights, read once and multiplied with numbers of the input spread over all lanes. No index is read per weight and
no product is wasted, so half of the weights gone is close to half of the time, where the unstructured kernel only
pays from 70 % on. A row group that keeps `n` columns stores (n, 16) values; a matrix whose rows are not a multiple
of 16 is padded with rows of zeros, which are computed and dropped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.block_gradients import BLOCK_INPUT, BLOCK_VALUES
from gossamer.kernels.blocks import ROWS
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.library import index_error, register


def block_matmul(indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int) -> Tensor:
    """Returns the product of a matrix of `rows` × C in blocks of 16 rows and a dense (C, B) one.

    Args:
        indptr: (ceil(rows / 16) + 1,) int64, never falling from 0 to n; the caller's word (`check_csr`).
        columns: (n,) int32 or int64 in [0, C).
        values: (n, 16) in the dtype of `x`.
        x: (C, B), floating point.
        rows: R, at least 0.

    Returns:
        (R, B); the gradient reaches `values` and `x`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or a column is out of range.
    """
    _check(indptr, columns, values, x, rows)
    if x.dim() != 2:
        raise DataError(f"x: expected shape (columns of the matrix, batch), found {describe(x)}")
    return BLOCK_MATMUL(indptr, columns, values, x, rows)  # type: ignore[no-any-return]


def block_linear(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int, bias: Tensor | None = None
) -> Tensor:
    """Returns `x @ W.T + bias` for a matrix W of `rows` × C in blocks of 16 rows: a linear layer.

    Args:
        indptr: (ceil(rows / 16) + 1,) int64, never falling from 0 to n; the caller's word (`check_csr`).
        columns: (n,) int32 or int64 in [0, C).
        values: (n, 16) in the dtype of `x`.
        x: (..., C), floating point.
        rows: R, at least 0.
        bias: (R,) in the dtype of `x`, or None.

    Returns:
        (..., R); the gradient reaches `values`, `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or a column is out of range.
    """
    _check(indptr, columns, values, x, rows)
    if x.dim() < 1:
        raise DataError(f"x: expected shape (..., columns of the matrix), found {describe(x)}")
    if bias is not None:
        check_float(bias, "bias", like=x)
        check_device(indptr, bias, "bias")
        if bias.shape != (rows,):
            raise DataError(f"bias: expected shape ({rows},), found {describe(bias)}")
    if x.dim() == 2:
        return BLOCK_LINEAR(indptr, columns, values, x, rows, bias)  # type: ignore[no-any-return]
    flat = BLOCK_LINEAR(indptr, columns, values, x.reshape(-1, x.shape[-1]), rows, bias)
    return flat.reshape(*x.shape[:-1], rows)  # type: ignore[no-any-return]


def block_matmul_reference(indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int) -> Tensor:
    """The pure-torch reference of `block_matmul`: gather, outer product, scatter."""
    blocks = indptr.shape[0] - 1
    block = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    products = values.unsqueeze(2) * x.index_select(0, columns).unsqueeze(1)  # (n, 16, B)
    out = x.new_zeros(blocks, ROWS, x.shape[1]).index_add_(0, block, products)
    return out.reshape(blocks * ROWS, x.shape[1])[:rows].contiguous()


def block_linear_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int, bias: Tensor | None = None
) -> Tensor:
    """The pure-torch reference of `block_linear` for x (B, C)."""
    out = block_matmul_reference(indptr, columns, values, x.T, rows).T.contiguous()
    return out if bias is None else out + bias


def _check(indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int) -> None:
    check_pattern(indptr, columns, columns="columns")
    check_float(x, "x")
    check_device(indptr, x, "x")
    check_float(values, "values", like=x)
    check_device(indptr, values, "values")
    if values.shape != (columns.shape[0], ROWS):
        raise DataError(f"values: expected shape ({columns.shape[0]}, {ROWS}), found {describe(values)}")
    if rows < 0 or -(-rows // ROWS) != indptr.shape[0] - 1:
        blocks = indptr.shape[0] - 1
        raise DataError(f"rows: {rows} rows make {-(-rows // ROWS)} blocks of {ROWS}, but indptr holds {blocks}")


def _matmul_cpu(indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int) -> Tensor:
    module = native.kernels()
    if module is None or x.dtype is not torch.float32:
        return block_matmul_reference(indptr, columns, values, x, rows)
    out = torch.empty(rows, x.shape[1])
    _run(module.block_matmul, indptr, columns, values, x, None, out, (rows, *x.shape))
    return out


def _linear_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int, bias: Tensor | None = None
) -> Tensor:
    module = native.kernels()
    if module is None or x.dtype is not torch.float32:
        return block_linear_reference(indptr, columns, values, x, rows, bias)
    out = torch.empty(x.shape[0], rows)
    _run(module.block_linear, indptr, columns, values, x, bias, out, (rows, x.shape[1], x.shape[0]))
    return out


def _run(  # noqa: PLR0917  the arguments of the operator
    kernel: Any,
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    bias: Tensor | None,
    out: Tensor,
    sizes: tuple[int, int, int],
) -> None:
    """Calls one of the two kernels, which differ in the layout of `x` and `out` only; `sizes` is (R, C, B)."""
    indptr, columns, values, x = (
        indptr.contiguous(),
        columns.contiguous(),
        values.contiguous(),
        x.contiguous(),
    )
    bias = None if bias is None else bias.contiguous()
    inside = kernel(
        *sizes,
        columns.shape[0],
        columns.itemsize,
        indptr.data_ptr(),
        columns.data_ptr(),
        values.data_ptr(),
        x.data_ptr(),
        0 if bias is None else bias.data_ptr(),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("columns", sizes[1])


def _matmul_fake(indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int) -> Tensor:
    return x.new_empty(rows, x.shape[1])


def _linear_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int, bias: Tensor | None = None
) -> Tensor:
    return x.new_empty(x.shape[0], rows)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs[:4])


def _matmul_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, columns, values, x = ctx.saved_tensors
    grad_values = grad_x = None
    if ctx.needs_input_grad[2]:
        grad_values = BLOCK_VALUES(indptr, columns, grad, x, False)
    if ctx.needs_input_grad[3]:
        grad_x = BLOCK_INPUT(indptr, columns, values, grad, x.shape[0], False)
    return None, None, grad_values, grad_x, None


def _linear_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, columns, values, x = ctx.saved_tensors
    grad_values = grad_x = grad_bias = None
    if ctx.needs_input_grad[2]:
        grad_values = BLOCK_VALUES(indptr, columns, grad, x, True)
    if ctx.needs_input_grad[3]:
        grad_x = BLOCK_INPUT(indptr, columns, values, grad, x.shape[1], True)
    if ctx.needs_input_grad[5]:
        grad_bias = grad.sum(0)
    return None, None, grad_values, grad_x, None, grad_bias


_PATTERN = "Tensor indptr, Tensor columns, Tensor values"
BLOCK_MATMUL = register(
    f"block_matmul({_PATTERN}, Tensor x, SymInt rows) -> Tensor",
    cpu=_matmul_cpu,
    reference=block_matmul_reference,
    fake=_matmul_fake,
    backward=_matmul_backward,
    save=_save,
)
BLOCK_LINEAR = register(
    f"block_linear({_PATTERN}, Tensor x, SymInt rows, Tensor? bias) -> Tensor",
    cpu=_linear_cpu,
    reference=block_linear_reference,
    fake=_linear_fake,
    backward=_linear_backward,
    save=_save,
)
