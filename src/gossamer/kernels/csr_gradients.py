"""The two gradients of a product with a CSR matrix: of its values, computed on the pattern only, and of its input.

With `out = W x` and `flow` the gradient of `out`, a stored entry (r, c) gets the dot product over the batch of row r
of the flow and row c of the input: what a dense flow · xᵀ has at its place, for the cost of the stored places. The
gradient of the input is a product with the transposed matrix, which is made for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.aggregate import edge_dot_reference
from gossamer.kernels.bilinear import Bilinear, run_values
from gossamer.kernels.library import index_error, register
from gossamer.kernels.products import element, settle, wide


def csr_values_reference(indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, by_example: bool) -> Tensor:
    """The pure-torch reference of the values' gradient: gather, multiply, sum.

    Args:
        indptr: With `indices` the pattern, R × C; see `csr_matmul`.
        indices: (E,).
        flow: (R, B), or (B, R) by example.
        x: (C, B), or (B, C) by example.
        by_example: Whether `flow` and `x` have one row an example.

    Returns:
        (E,).
    """
    if by_example:
        flow, x = flow.T, x.T
    return edge_dot_reference(indptr, indices, wide(flow), wide(x)).to(flow.dtype)


def csr_input_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, flow: Tensor, width: int, by_example: bool
) -> Tensor:
    """The pure-torch reference of the input's gradient: scale, scatter.

    Args:
        indptr: With `indices` and `values` the matrix, R × `width`; see `csr_matmul`.
        indices: (E,).
        values: (E,).
        flow: (R, B), or (B, R) by example.
        width: C.
        by_example: Whether `flow` and the result have one row an example.

    Returns:
        (C, B), or (B, C) by example.
    """
    lines = wide(flow.T if by_example else flow)  # (R, B)
    row = torch.repeat_interleave(indptr.diff(), output_size=indices.shape[0])
    scaled = lines.index_select(0, row) * wide(values)[:, None]
    out = lines.new_zeros(width, lines.shape[1]).index_add_(0, indices, scaled)
    return (out.T if by_example else out).to(flow.dtype).contiguous()


def _values_cpu(indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, by_example: bool) -> Tensor:
    if element(flow.dtype) is None or not native.available():
        return csr_values_reference(indptr, indices, flow, x, by_example)
    return run_values(indptr, indices, flow, x, by_example, height=None)


def _input_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, flow: Tensor, width: int, by_example: bool
) -> Tensor:
    module = native.kernels()
    if module is None or element(values.dtype) is None or element(flow.dtype) is None:
        return csr_input_reference(indptr, indices, values, flow, width, by_example)
    indptr, indices, values = settle(indptr, indices, values)
    starts = torch.empty(width + 1, dtype=torch.int64)
    rows, turned = torch.empty_like(indices), torch.empty_like(values)
    inside = module.transpose_values(
        indptr.shape[0] - 1,
        width,
        indices.shape[0],
        indices.itemsize,
        values.itemsize,
        indptr.data_ptr(),
        indices.data_ptr(),
        values.data_ptr(),
        starts.data_ptr(),
        rows.data_ptr(),
        turned.data_ptr(),
    )
    if not inside:
        raise index_error("indices", width)
    return _product(starts, rows, turned, flow, flow, by_example)


def _values_fake(indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, by_example: bool) -> Tensor:
    return x.new_empty(indices.shape[0])


def _input_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor, indices: Tensor, values: Tensor, flow: Tensor, width: int, by_example: bool
) -> Tensor:
    return flow.new_empty((flow.shape[0], width) if by_example else (width, flow.shape[1]))


def _product(  # noqa: PLR0917  the arguments of `Bilinear`
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, flow: Tensor, by_example: bool
) -> Tensor:
    del flow
    product = torch.ops.gossamer.csr_product.default  # looked up here, because its module imports this one
    return product(indptr, indices, values, x, None, by_example, False)  # type: ignore[no-any-return]


def _input(  # noqa: PLR0917  the arguments of `Bilinear`
    indptr: Tensor, indices: Tensor, values: Tensor, flow: Tensor, x: Tensor, by_example: bool
) -> Tensor:
    return CSR_INPUT(indptr, indices, values, flow, x.shape[by_example], by_example)  # type: ignore[no-any-return]


def _values(  # noqa: PLR0917  the arguments of `Bilinear`
    indptr: Tensor, indices: Tensor, flow: Tensor, x: Tensor, values: Tensor, by_example: bool
) -> Tensor:
    del values
    return CSR_VALUES(indptr, indices, flow, x, by_example)  # type: ignore[no-any-return]


CSR = Bilinear(_product, _input, _values, settings=1)
CSR_VALUES = register(
    "csr_values(Tensor indptr, Tensor indices, Tensor flow, Tensor x, bool by_example) -> Tensor",
    cpu=_values_cpu,
    reference=csr_values_reference,
    fake=_values_fake,
    backward=CSR.values_backward,
    save=CSR.save,
)
CSR_INPUT = register(
    "csr_input(Tensor indptr, Tensor indices, Tensor values, Tensor flow, SymInt width, bool by_example) -> Tensor",
    cpu=_input_cpu,
    reference=csr_input_reference,
    fake=_input_fake,
    backward=CSR.input_backward,
    save=CSR.save,
)
