"""Convolves images with a sparse matrix of weights, without making patches, and gives both gradients on the pattern.

The matrix is (C_out, C_in · kh · kw) as a dense weight's `flatten(1)`, in CSR form (values (E,)) or in blocks of
r = 16 or 8 rows that share their columns (values (n, r)). A padded image is laid out once; then every stored weight
multiplies one run of neighbouring pixels, where im2col would first copy each pixel kh · kw times. In blocks, r outputs
share the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad as dense_gradients

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.bilinear import Bilinear
from gossamer.kernels.blocks import HEIGHTS, from_blocks
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.library import index_error, register
from gossamer.kernels.products import check_bias, check_values, element, settle, wide

Pair = tuple[int, int]


class Steps(NamedTuple):
    """How a convolution moves over an image, each (vertical, horizontal) in pixels, as in `torch.nn.Conv2d`."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def out_size(self, high: int, wide: int) -> Pair:
        """Returns the size of the result of an image of this size; below 1 where the kernel does not fit."""
        found = [
            (size + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel[axis] - 1) - 1) // self.stride[axis] + 1
            for axis, size in enumerate((high, wide))
        ]
        return found[0], found[1]


def sparse_conv2d(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    outputs: int,
    steps: Steps,
    bias: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Returns the convolution of images with a sparse (outputs, C_in · kh · kw) matrix.

    Args:
        indptr: (outputs + 1,) int64, or (ceil(outputs / r) + 1,) in blocks; never falling from 0 to the number of
            stored columns; the caller's word (`check_csr`).
        columns: int32 or int64 in [0, C_in · kh · kw): (channel · kh + row of the tap) · kw + column of the tap.
        values: (E,), or (n, r) in blocks of r = 16 or 8, in the dtype of `x`; float32 and bfloat16 go together.
        x: (N, C_in, H, W), floating point.
        outputs: C_out.
        steps: Kernel size, stride, zero padding and dilation.
        bias: (C_out,) in the dtype of `x`, or None.
        relu: Replaces negative results by zero.

    Returns:
        (N, C_out, H_out, W_out); the gradient reaches `values`, `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, a column is out of range, or the kernel
            reaches over more than the padded image.
    """
    check_pattern(indptr, columns, columns="columns")
    check_float(x, "x")
    check_device(indptr, x, "x")
    check_values(values, x)
    check_device(indptr, values, "values")
    stored = columns.shape[0]
    if values.shape not in ((stored,), *((stored, height) for height in HEIGHTS)):
        raise DataError(
            f"values: expected shape ({stored},), ({stored}, 16) or ({stored}, 8), found {describe(values)}"
        )
    rows = -(-outputs // _height(values))
    if indptr.shape[0] != rows + 1:
        raise DataError(f"indptr: expected {rows + 1} entries for {outputs} outputs, found {indptr.shape[0]}")
    if x.dim() != 4:
        raise DataError(f"x: expected shape (N, C, H, W), found {describe(x)}")
    if min(steps.out_size(x.shape[2], x.shape[3])) < 1:
        raise DataError(f"x: the kernel {steps} reaches over more than the padded image, {describe(x)}")
    if bias is not None:
        check_bias(bias, x, outputs)
    return SPARSE_CONV2D(indptr, columns, values, x, bias, outputs, *steps, relu)  # type: ignore[no-any-return]


def _height(values: Tensor) -> int:
    """Rows of a block; 1 without blocks."""
    return 1 if values.dim() == 1 else values.shape[1]


def _dense(indptr: Tensor, columns: Tensor, values: Tensor, outputs: int, shape: Sequence[int]) -> Tensor:
    """Returns the dense weight (outputs, *shape); shape is (C_in, kh, kw)."""
    width = shape[0] * shape[1] * shape[2]
    if values.dim() == 2:
        return from_blocks(indptr, columns, values, outputs, width).reshape(outputs, *shape)
    row = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    return values.new_zeros(outputs * width).index_add(0, row * width + columns, values).reshape(outputs, *shape)


def sparse_conv2d_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    bias: Tensor | None,
    outputs: int,
    *settings: Any,
) -> Tensor:
    """The pure-torch reference of `sparse_conv2d`: the dense convolution."""
    *steps, relu = settings
    kernel, stride, padding, dilation = (tuple(pair) for pair in steps)
    weight = _dense(indptr, columns, wide(values), outputs, (x.shape[1], *kernel))
    out = F.conv2d(wide(x), weight, None if bias is None else wide(bias), stride, padding, dilation)
    return (out.relu() if relu else out).to(x.dtype)


def sparse_conv2d_input_reference(
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    flow: Tensor,
    size: Sequence[int],
    *steps: Sequence[int],
) -> Tensor:
    """The pure-torch reference of the input's gradient, (N, *size), for flow (N, C_out, H_out, W_out)."""
    kernel, *how = (tuple(pair) for pair in steps)
    weight = _dense(indptr, columns, wide(values), flow.shape[1], (size[0], *kernel))
    out = dense_gradients.conv2d_input([flow.shape[0], *size], weight, wide(flow), *how)  # type: ignore[no-untyped-call]
    return out.to(flow.dtype)  # type: ignore[no-any-return]


def sparse_conv2d_values_reference(
    indptr: Tensor,
    columns: Tensor,
    flow: Tensor,
    x: Tensor,
    height: int,
    *steps: Sequence[int],
) -> Tensor:
    """The pure-torch reference of the values' gradient: the dense one, read at the stored places."""
    kernel, *how = (tuple(pair) for pair in steps)
    shape = (flow.shape[1], x.shape[1], *kernel)
    weight = dense_gradients.conv2d_weight(wide(x), shape, wide(flow), *how)  # type: ignore[no-untyped-call]
    dense = weight.flatten(1).to(flow.dtype)
    row = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    if height == 1:
        return dense[row, columns]  # type: ignore[no-any-return]
    padded = F.pad(dense, (0, 0, 0, -dense.shape[0] % height)).view(-1, height, dense.shape[1])
    return padded[row, :, columns].contiguous()


def _forward_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    bias: Tensor | None,
    outputs: int,
    *settings: Any,
) -> Tensor:
    module, kinds = native.kernels(), (element(values.dtype), element(x.dtype))
    *steps, relu = settings
    if module is None or None in kinds:
        return sparse_conv2d_reference(indptr, columns, values, x, bias, outputs, *settings)
    out = _forward_fake(indptr, columns, values, x, bias, outputs, *settings)
    arrays = (indptr, columns, values, x, bias, None)
    _run(module.sparse_conv, arrays, (_height(values), *kinds), out, out, x, steps, relu)
    return out


def _input_cpu(
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    flow: Tensor,
    size: Sequence[int],
    *steps: Sequence[int],
) -> Tensor:
    module, kinds = native.kernels(), (element(values.dtype), element(flow.dtype))
    if module is None or None in kinds:
        return sparse_conv2d_input_reference(indptr, columns, values, flow, size, *steps)
    out = flow.new_empty(flow.shape[0], *size)
    arrays = (indptr, columns, values, None, None, flow)
    _run(module.sparse_conv_input, arrays, (_height(values), *kinds), out, flow, out, steps)
    return out


def _values_cpu(
    indptr: Tensor,
    columns: Tensor,
    flow: Tensor,
    x: Tensor,
    height: int,
    *steps: Sequence[int],
) -> Tensor:
    module, kind = native.kernels(), element(flow.dtype)
    if module is None or kind is None:
        return sparse_conv2d_values_reference(indptr, columns, flow, x, height, *steps)
    out = _values_fake(indptr, columns, flow, x, height, *steps)
    arrays = (indptr, columns, None, x, None, flow)
    _run(module.sparse_conv_values, arrays, (height, kind, kind), out, flow, x, steps)
    return out


def _run(  # noqa: PLR0917  the arguments of the kernels
    kernel: Any,
    arrays: tuple[Tensor | None, ...],
    layout: tuple[int | None, ...],
    out: Tensor,
    result: Tensor,
    image: Tensor,
    steps: Sequence[Sequence[int]],
    relu: bool = False,
) -> None:
    """Calls a kernel on (indptr, columns, values, x, bias, flow).

    `layout` is the height of a block and the elements of the values and the rest; `result` and `image` tell the shapes.
    """
    held = settle(*arrays)
    columns = held[1]
    inside = kernel(
        result.shape[1],
        [*image.shape, *result.shape[2:], *(number for pair in steps for number in pair)],
        columns.shape[0],
        columns.itemsize,
        *layout,
        *(native.address(array) for array in held),
        relu,
        out.data_ptr(),
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("columns", image.shape[1] * steps[0][0] * steps[0][1])


def _forward_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    bias: Tensor | None,
    outputs: int,
    *settings: Any,
) -> Tensor:
    steps = Steps(*((pair[0], pair[1]) for pair in settings[:4]))
    return x.new_empty(x.shape[0], outputs, *steps.out_size(x.shape[2], x.shape[3]))


def _input_fake(
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    flow: Tensor,
    size: Sequence[int],
    *steps: Sequence[int],
) -> Tensor:
    return flow.new_empty(flow.shape[0], *size)


def _values_fake(
    indptr: Tensor,
    columns: Tensor,
    flow: Tensor,
    x: Tensor,
    height: int,
    *steps: Sequence[int],
) -> Tensor:
    return x.new_empty((columns.shape[0],) if height == 1 else (columns.shape[0], height))


def _product(indptr: Tensor, columns: Tensor, values: Tensor, x: Tensor, flow: Tensor, *steps: Sequence[int]) -> Tensor:
    return SPARSE_CONV2D(indptr, columns, values, x, None, flow.shape[1], *steps, False)  # type: ignore[no-any-return]


def _input(indptr: Tensor, columns: Tensor, values: Tensor, flow: Tensor, x: Tensor, *steps: Sequence[int]) -> Tensor:
    return SPARSE_CONV2D_INPUT(indptr, columns, values, flow, x.shape[1:], *steps)  # type: ignore[no-any-return]


def _values(indptr: Tensor, columns: Tensor, flow: Tensor, x: Tensor, values: Tensor, *steps: Sequence[int]) -> Tensor:
    return SPARSE_CONV2D_VALUES(indptr, columns, flow, x, _height(values), *steps)  # type: ignore[no-any-return]


_CONVOLUTION = Bilinear(_product, _input, _values, settings=4)
_STEPS = "SymInt[] kernel, SymInt[] stride, SymInt[] padding, SymInt[] dilation"
SPARSE_CONV2D = register(
    "sparse_conv2d(Tensor indptr, Tensor columns, Tensor values, Tensor x, Tensor? bias, SymInt outputs, "
    f"{_STEPS}, bool relu) -> Tensor",
    cpu=_forward_cpu,
    reference=sparse_conv2d_reference,
    fake=_forward_fake,
    backward=partial(_CONVOLUTION.product_backward, bias=4, axes=lambda *_: (0, 2, 3)),
    save=_CONVOLUTION.save_product,
)
SPARSE_CONV2D_INPUT = register(
    "sparse_conv2d_input(Tensor indptr, Tensor columns, Tensor values, Tensor flow, SymInt[] size, "
    f"{_STEPS}) -> Tensor",
    cpu=_input_cpu,
    reference=sparse_conv2d_input_reference,
    fake=_input_fake,
    backward=_CONVOLUTION.input_backward,
    save=_CONVOLUTION.save,
)
SPARSE_CONV2D_VALUES = register(
    f"sparse_conv2d_values(Tensor indptr, Tensor columns, Tensor flow, Tensor x, SymInt height, {_STEPS}) -> Tensor",
    cpu=_values_cpu,
    reference=sparse_conv2d_values_reference,
    fake=_values_fake,
    backward=_CONVOLUTION.values_backward,
    save=_CONVOLUTION.save,
)
