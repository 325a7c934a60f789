"""Multiplies a matrix whose rows share their zeros in groups of 16 or 8 with a dense one.

Sixteen output rows that keep the same columns fill the lanes of one vector register: a stored column is one vector
of weights, read once and multiplied with numbers of the input spread over all lanes. No index is read per weight and
no product is wasted, so half of the weights gone is close to half of the time, where the unstructured kernel only
pays from 60 % on. A row group that keeps `n` columns stores (n, 16) values, or (n, 8); a matrix whose rows are not a
multiple of that is padded with rows of zeros, which are computed and dropped. Bias and ReLU are part of the product.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.block_gradients import BLOCKS
from gossamer.kernels.blocks import HEIGHTS
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.library import index_error, register
from gossamer.kernels.products import ELEMENTS, by_columns, check_bias, check_values, finish, settle, wide


def block_matmul(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Returns the product of a matrix of `rows` × C in blocks of r = 16 or 8 rows and a dense (C, B) one.

    Args:
        indptr: (ceil(rows / r) + 1,) int64, never falling from 0 to n; the caller's word (`check_csr`).
        columns: (n,) int32 or int64 in [0, C).
        values: (n, r) in the dtype of `x`; float32 and bfloat16 go together.
        x: (C, B), floating point.
        rows: R, at least 0.
        bias: (R,) in the dtype of `x`, added to every column, or None.
        relu: Replaces negative results by zero.

    Returns:
        (R, B) in the dtype of `x`; the gradient reaches `values`, `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or a column is out of range.
    """
    _check(indptr, columns, values, x, rows, bias)
    if x.dim() != 2:
        raise DataError(f"x: expected shape (columns of the matrix, batch), found {describe(x)}")
    return BLOCK_PRODUCT(indptr, columns, values, x, rows, bias, False, relu)  # type: ignore[no-any-return]


def block_linear(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Returns `x @ W.T + bias` for a matrix W of `rows` × C in blocks of r = 16 or 8 rows: a linear layer.

    Args:
        indptr: (ceil(rows / r) + 1,) int64, never falling from 0 to n; the caller's word (`check_csr`).
        columns: (n,) int32 or int64 in [0, C).
        values: (n, r) in the dtype of `x`; float32 and bfloat16 go together.
        x: (..., C), floating point. The transpose of a contiguous matrix is used as it lies, without a copy.
        rows: R, at least 0.
        bias: (R,) in the dtype of `x`, or None.
        relu: Replaces negative results by zero.

    Returns:
        (..., R) in the dtype of `x`; the gradient reaches `values`, `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or a column is out of range.
    """
    _check(indptr, columns, values, x, rows, bias)
    if x.dim() < 1:
        raise DataError(f"x: expected shape (..., columns of the matrix), found {describe(x)}")
    if by_columns(x):
        return BLOCK_PRODUCT(indptr, columns, values, x.T, rows, bias, False, relu).T  # type: ignore[no-any-return]
    flat = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
    out = BLOCK_PRODUCT(indptr, columns, values, flat, rows, bias, True, relu)
    return out if x.dim() == 2 else out.reshape(*x.shape[:-1], rows)  # type: ignore[no-any-return]


def block_matmul_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """The pure-torch reference of `block_matmul`: gather, outer product, scatter."""
    blocks, height = indptr.shape[0] - 1, values.shape[1]
    block = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    lines = wide(x).index_select(0, columns)
    products = wide(values).unsqueeze(2) * lines.unsqueeze(1)  # (n, r, B)
    out = lines.new_zeros(blocks, height, x.shape[1]).index_add_(0, block, products)
    sums = out.reshape(blocks * height, x.shape[1])[:rows]
    return finish(sums.T, bias, relu, x.dtype).T.contiguous()


def block_linear_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """The pure-torch reference of `block_linear` for x (B, C)."""
    return block_matmul_reference(indptr, columns, values, x.T, rows, bias, relu).T.contiguous()


def _check(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: int, bias: Tensor | None
) -> None:
    check_pattern(indptr, columns, columns="columns")
    check_float(x, "x")
    check_device(indptr, x, "x")
    check_values(values, x)
    check_device(indptr, values, "values")
    stored = columns.shape[0]
    if values.dim() != 2 or values.shape[0] != stored or values.shape[1] not in HEIGHTS:
        raise DataError(f"values: expected shape ({stored}, 16) or ({stored}, 8), found {describe(values)}")
    height, blocks = values.shape[1], indptr.shape[0] - 1
    if rows < 0 or -(-rows // height) != blocks:
        raise DataError(f"rows: {rows} rows make {-(-rows // height)} blocks of {height}, but indptr holds {blocks}")
    if bias is not None:
        check_bias(bias, x, rows)


def _reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None,
    by_example: bool,
    relu: bool,
) -> Tensor:
    product = block_linear_reference if by_example else block_matmul_reference
    return product(indptr, columns, values, x, rows, bias, relu)


def run_block_product(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None,
    by_example: bool,
    relu: bool,
) -> Tensor:
    """Runs the kernel of `block_linear` (by example) or `block_matmul` on the CPU.

    What those check is the caller's word here, and so is that every tensor is contiguous.
    """
    module, stored, kind = native.kernels(), ELEMENTS.get(values.dtype), ELEMENTS.get(x.dtype)
    if module is None or stored is None or kind is None:
        return _reference(indptr, columns, values, x, rows, bias, by_example, relu)
    batch, width = x.shape if by_example else x.shape[::-1]
    out = x.new_empty(batch, rows) if by_example else x.new_empty(rows, batch)
    inside = module.block_product(
        rows,
        width,
        batch,
        columns.shape[0],
        columns.itemsize,
        values.shape[1],
        stored,
        kind,
        indptr.data_ptr(),
        columns.data_ptr(),
        values.data_ptr(),
        x.data_ptr(),
        0 if bias is None else bias.data_ptr(),
        relu,
        out.data_ptr(),
        by_example,
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("columns", width)
    return out


def _cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None,
    by_example: bool,
    relu: bool,
) -> Tensor:
    indptr, columns, values, x, bias = settle(indptr, columns, values, x, bias)
    return run_block_product(indptr, columns, values, x, rows, bias, by_example, relu)


def _fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    rows: int,
    bias: Tensor | None,
    by_example: bool,
    relu: bool,
) -> Tensor:
    return x.new_empty(x.shape[0], rows) if by_example else x.new_empty(rows, x.shape[1])


BLOCK_PRODUCT = register(
    "block_product(Tensor indptr, Tensor columns, Tensor values, Tensor x, SymInt rows, Tensor? bias, "
    "bool by_example, bool relu) -> Tensor",
    cpu=_cpu,
    reference=_reference,
    fake=_fake,
    backward=partial(BLOCKS.product_backward, bias=5, axes=lambda by_example: 0 if by_example else 1),
    save=BLOCKS.save_product,
)
