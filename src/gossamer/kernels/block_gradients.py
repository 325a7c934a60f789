"""The two gradients of a product with a matrix in blocks of 16 or 8 rows, computed on the pattern only.

With `out = W x`, `flow` the gradient of `out`: the input's gradient is Wᵀ · flow, and the gradient of the stored
values is what flow · xᵀ has at their places. Both cost what the product costs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.bilinear import Bilinear, run_values
from gossamer.kernels.blocks import from_blocks
from gossamer.kernels.library import index_error, register
from gossamer.kernels.products import element, settle, wide


def block_input_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, flow: Tensor, width: int, by_example: bool
) -> Tensor:
    """The pure-torch reference of the input's gradient: through the dense matrix.

    Args:
        indptr: With `columns` and `values` the matrix, R × `width`; see `block_matmul`.
        columns: (n,).
        values: (n, r), r = 16 or 8.
        flow: (R, B), or (B, R) by example.
        width: C.
        by_example: Whether `flow` and the result have one row an example.

    Returns:
        (C, B), or (B, C) by example.
    """
    rows = flow.shape[1] if by_example else flow.shape[0]
    dense = from_blocks(indptr, columns, wide(values), rows, width)
    out = wide(flow) @ dense if by_example else dense.T @ wide(flow)
    return out.to(flow.dtype)


def block_values_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, flow: Tensor, x: Tensor, height: int, by_example: bool
) -> Tensor:
    """The pure-torch reference of the values' gradient: a dense product, then a gather.

    Args:
        indptr: With `columns` the pattern; see `block_matmul`.
        columns: (n,).
        flow: (R, B), or (B, R) by example.
        x: (C, B), or (B, C) by example.
        height: r, the rows of a block.
        by_example: Whether `flow` and `x` have one row an example.

    Returns:
        (n, r); zero in the rows that pad the last block.
    """
    flow, x = (flow.T, x) if by_example else (flow, x.T)
    dense = (wide(flow) @ wide(x)).to(flow.dtype)  # (R, C)
    rows, width = dense.shape
    blocks = indptr.shape[0] - 1
    padded = torch.nn.functional.pad(dense, (0, 0, 0, blocks * height - rows))
    lines = padded.reshape(blocks, height, width).transpose(1, 2).reshape(-1, height)  # (blocks · C, r)
    block = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    return lines.index_select(0, block * width + columns)


def _input_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, flow: Tensor, width: int, by_example: bool
) -> Tensor:
    module, stored, kind = native.kernels(), element(values.dtype), element(flow.dtype)
    if module is None or stored is None or kind is None:
        return block_input_reference(indptr, columns, values, flow, width, by_example)
    indptr, columns, values, flow = settle(indptr, columns, values, flow)
    batch, rows = flow.shape if by_example else flow.shape[::-1]
    out = _input_fake(indptr, columns, values, flow, width, by_example)
    inside = module.block_input(
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
        flow.data_ptr(),
        out.data_ptr(),
        by_example,
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("columns", width)
    return out


def _values_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, flow: Tensor, x: Tensor, height: int, by_example: bool
) -> Tensor:
    if element(flow.dtype) is None or not native.available():
        return block_values_reference(indptr, columns, flow, x, height, by_example)
    return run_values(indptr, columns, flow, x, by_example, height=height)


def _input_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, values: Tensor, flow: Tensor, width: int, by_example: bool
) -> Tensor:
    return flow.new_empty((flow.shape[0], width) if by_example else (width, flow.shape[1]))


def _values_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, columns: Tensor, flow: Tensor, x: Tensor, height: int, by_example: bool
) -> Tensor:
    return x.new_empty(columns.shape[0], height)


def _product(  # noqa: PLR0917  the arguments of `Bilinear`
    indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, flow: Tensor, by_example: bool
) -> Tensor:
    product = torch.ops.gossamer.block_product.default  # looked up here, because its module imports this one
    rows = flow.shape[by_example]
    return product(indptr, columns, values, x, rows, None, by_example, False)  # type: ignore[no-any-return]


def _input(  # noqa: PLR0917  the arguments of `Bilinear`
    indptr: Tensor, columns: Tensor, values: Tensor, flow: Tensor, x: Tensor, by_example: bool
) -> Tensor:
    return BLOCK_INPUT(indptr, columns, values, flow, x.shape[by_example], by_example)  # type: ignore[no-any-return]


def _values(  # noqa: PLR0917  the arguments of `Bilinear`
    indptr: Tensor, columns: Tensor, flow: Tensor, x: Tensor, values: Tensor, by_example: bool
) -> Tensor:
    return BLOCK_VALUES(indptr, columns, flow, x, values.shape[1], by_example)  # type: ignore[no-any-return]


BLOCKS = Bilinear(_product, _input, _values, settings=1)
BLOCK_INPUT = register(
    "block_input(Tensor indptr, Tensor columns, Tensor values, Tensor flow, SymInt width, bool by_example) -> Tensor",
    cpu=_input_cpu,
    reference=block_input_reference,
    fake=_input_fake,
    backward=BLOCKS.input_backward,
    save=BLOCKS.save,
)
BLOCK_VALUES = register(
    "block_values(Tensor indptr, Tensor columns, Tensor flow, Tensor x, SymInt height, bool by_example) -> Tensor",
    cpu=_values_cpu,
    reference=block_values_reference,
    fake=_values_fake,
    backward=BLOCKS.values_backward,
    save=BLOCKS.save,
)
