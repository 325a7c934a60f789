"""Convolves images with a sparse matrix of weights, without making patches, and gives both gradients on the pattern.

The matrix is (C_out, C_in · kh · kw) as a dense weight's `flatten(1)`, in CSR form (values (E,)) or in blocks of 16
rows that share their columns (values (n, 16)). A padded image is laid out once; then every stored weight multiplies
one run of neighbouring pixels, where im2col would first copy each pixel kh · kw times. In blocks, 16 outputs share
the run. The product, its input's gradient and its values' gradient are bilinear in one another, so each is
differentiable by the other two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad as dense_gradients

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.blocks import ROWS, from_blocks
from gossamer.kernels.checks import check_device, check_float, check_pattern, describe
from gossamer.kernels.library import index_error, register

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
        indptr: (outputs + 1,) int64, or (ceil(outputs / 16) + 1,) in blocks; never falling from 0 to the number of
            stored columns; the caller's word (`check_csr`).
        columns: int32 or int64 in [0, C_in · kh · kw): (channel · kh + row of the tap) · kw + column of the tap.
        values: (E,), or (n, 16) in blocks, in the dtype of `x`.
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
    check_float(values, "values", like=x)
    check_device(indptr, values, "values")
    stored = columns.shape[0]
    if values.shape not in ((stored,), (stored, ROWS)):
        raise DataError(f"values: expected shape ({stored},) or ({stored}, {ROWS}), found {describe(values)}")
    rows = outputs if values.dim() == 1 else -(-outputs // ROWS)
    if indptr.shape[0] != rows + 1:
        raise DataError(f"indptr: expected {rows + 1} entries for {outputs} outputs, found {indptr.shape[0]}")
    if x.dim() != 4:
        raise DataError(f"x: expected shape (N, C, H, W), found {describe(x)}")
    if min(steps.out_size(x.shape[2], x.shape[3])) < 1:
        raise DataError(f"x: the kernel {steps} reaches over more than the padded image, {describe(x)}")
    if bias is not None:
        check_float(bias, "bias", like=x)
        check_device(indptr, bias, "bias")
        if bias.shape != (outputs,):
            raise DataError(f"bias: expected shape ({outputs},), found {describe(bias)}")
    return SPARSE_CONV2D(indptr, columns, values, x, bias, outputs, *steps, relu)  # type: ignore[no-any-return]


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
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    relu: bool,
) -> Tensor:
    """The pure-torch reference of `sparse_conv2d`: the dense convolution."""
    weight = _dense(indptr, columns, values, outputs, (x.shape[1], *kernel))
    out = F.conv2d(x, weight, bias, tuple(stride), tuple(padding), tuple(dilation))
    return out.relu() if relu else out


def sparse_conv2d_input_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    flow: Tensor,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The pure-torch reference of the input's gradient, (N, *size), for flow (N, C_out, H_out, W_out)."""
    weight = _dense(indptr, columns, values, flow.shape[1], (size[0], *kernel))
    shape = [flow.shape[0], *size]
    return dense_gradients.conv2d_input(shape, weight, flow, tuple(stride), tuple(padding), tuple(dilation))  # type: ignore[no-any-return, no-untyped-call]


def sparse_conv2d_values_reference(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    flow: Tensor,
    x: Tensor,
    blocks: bool,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The pure-torch reference of the values' gradient: the dense one, read at the stored places."""
    shape = (flow.shape[1], x.shape[1], *kernel)
    steps = (tuple(stride), tuple(padding), tuple(dilation))
    dense = dense_gradients.conv2d_weight(x, shape, flow, *steps).flatten(1)  # type: ignore[no-untyped-call]
    row = torch.repeat_interleave(indptr.diff(), output_size=columns.shape[0])
    if not blocks:
        return dense[row, columns]  # type: ignore[no-any-return]
    padded = F.pad(dense, (0, 0, 0, -dense.shape[0] % ROWS)).view(-1, ROWS, dense.shape[1])
    return padded[row, :, columns].contiguous()


def _forward_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    x: Tensor,
    bias: Tensor | None,
    outputs: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    relu: bool,
) -> Tensor:
    module = native.kernels()
    steps = (kernel, stride, padding, dilation)
    if module is None or x.dtype is not torch.float32:
        return sparse_conv2d_reference(indptr, columns, values, x, bias, outputs, *steps, relu)
    run = module.block_conv if values.dim() == 2 else module.csr_conv
    out = _forward_fake(indptr, columns, values, x, bias, outputs, *steps, relu)
    bias = None if bias is None else bias.contiguous()
    _run(run, (indptr, columns, values, x, bias, None), out, out, x, steps, relu)
    return out


def _input_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    flow: Tensor,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    module = native.kernels()
    steps = (kernel, stride, padding, dilation)
    if module is None or flow.dtype is not torch.float32:
        return sparse_conv2d_input_reference(indptr, columns, values, flow, size, *steps)
    run = module.block_conv_input if values.dim() == 2 else module.csr_conv_input
    out = flow.new_empty(flow.shape[0], *size)
    _run(run, (indptr, columns, values, None, None, flow), out, flow, out, steps)
    return out


def _values_cpu(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    flow: Tensor,
    x: Tensor,
    blocks: bool,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    module = native.kernels()
    steps = (kernel, stride, padding, dilation)
    if module is None or flow.dtype is not torch.float32:
        return sparse_conv2d_values_reference(indptr, columns, flow, x, blocks, *steps)
    run = module.block_conv_values if blocks else module.csr_conv_values
    out = _values_fake(indptr, columns, flow, x, blocks, *steps)
    _run(run, (indptr, columns, None, x, None, flow), out, flow, x, steps)
    return out


def _run(  # noqa: PLR0917  the arguments of the kernels
    kernel: Any,
    arrays: tuple[Tensor | None, ...],
    out: Tensor,
    result: Tensor,
    image: Tensor,
    steps: tuple[Sequence[int], ...],
    relu: bool = False,
) -> None:
    """Calls a kernel on (indptr, columns, values, x, bias, flow); `result` and `image` tell the shapes."""
    held = [None if array is None else array.contiguous() for array in arrays]
    columns = held[1]
    assert columns is not None
    addresses = [0 if array is None else array.data_ptr() for array in held]
    inside = kernel(
        result.shape[1],
        [*image.shape, *result.shape[2:], *(number for pair in steps for number in pair)],
        columns.shape[0],
        columns.itemsize,
        *addresses,
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
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    relu: bool,
) -> Tensor:
    steps = Steps(*((pair[0], pair[1]) for pair in (kernel, stride, padding, dilation)))
    return x.new_empty(x.shape[0], outputs, *steps.out_size(x.shape[2], x.shape[3]))


def _input_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    values: Tensor,
    flow: Tensor,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    return flow.new_empty(flow.shape[0], *size)


def _values_fake(  # noqa: PLR0917  the arguments of the operator
    indptr: Tensor,
    columns: Tensor,
    flow: Tensor,
    x: Tensor,
    blocks: bool,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    return x.new_empty((columns.shape[0], ROWS) if blocks else (columns.shape[0],))


def _save_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4], output if inputs[10] else None)
    ctx.steps = inputs[6:10]


def _forward_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, columns, values, x, rectified = ctx.saved_tensors
    flow = grad if rectified is None else grad * (rectified > 0)
    grad_values = grad_x = grad_bias = None
    if ctx.needs_input_grad[2]:
        grad_values = SPARSE_CONV2D_VALUES(indptr, columns, flow, x, values.dim() == 2, *ctx.steps)
    if ctx.needs_input_grad[3]:
        grad_x = SPARSE_CONV2D_INPUT(indptr, columns, values, flow, x.shape[1:], *ctx.steps)
    if ctx.needs_input_grad[4]:
        grad_bias = flow.sum((0, 2, 3))
    return None, None, grad_values, grad_x, grad_bias, *[None] * 6


def _save_input(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs[:4])
    ctx.steps = inputs[5:9]


def _input_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, columns, values, flow = ctx.saved_tensors
    grad_values = grad_flow = None
    if ctx.needs_input_grad[2]:
        grad_values = SPARSE_CONV2D_VALUES(indptr, columns, flow, grad, values.dim() == 2, *ctx.steps)
    if ctx.needs_input_grad[3]:
        grad_flow = SPARSE_CONV2D(indptr, columns, values, grad, None, flow.shape[1], *ctx.steps, False)
    return None, None, grad_values, grad_flow, *[None] * 5


def _save_values(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs[:4])
    ctx.steps = inputs[5:9]


def _values_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    indptr, columns, flow, x = ctx.saved_tensors
    grad_flow = grad_x = None
    if ctx.needs_input_grad[2]:
        grad_flow = SPARSE_CONV2D(indptr, columns, grad, x, None, flow.shape[1], *ctx.steps, False)
    if ctx.needs_input_grad[3]:
        grad_x = SPARSE_CONV2D_INPUT(indptr, columns, grad, flow, x.shape[1:], *ctx.steps)
    return None, None, grad_flow, grad_x, *[None] * 5


_STEPS = "SymInt[] kernel, SymInt[] stride, SymInt[] padding, SymInt[] dilation"
SPARSE_CONV2D = register(
    "sparse_conv2d(Tensor indptr, Tensor columns, Tensor values, Tensor x, Tensor? bias, SymInt outputs, "
    f"{_STEPS}, bool relu) -> Tensor",
    cpu=_forward_cpu,
    reference=sparse_conv2d_reference,
    fake=_forward_fake,
    backward=_forward_backward,
    save=_save_forward,
)
SPARSE_CONV2D_INPUT = register(
    "sparse_conv2d_input(Tensor indptr, Tensor columns, Tensor values, Tensor flow, SymInt[] size, "
    f"{_STEPS}) -> Tensor",
    cpu=_input_cpu,
    reference=sparse_conv2d_input_reference,
    fake=_input_fake,
    backward=_input_backward,
    save=_save_input,
)
SPARSE_CONV2D_VALUES = register(
    f"sparse_conv2d_values(Tensor indptr, Tensor columns, Tensor flow, Tensor x, bool blocks, {_STEPS}) -> Tensor",
    cpu=_values_cpu,
    reference=sparse_conv2d_values_reference,
    fake=_values_fake,
    backward=_values_backward,
    save=_save_values,
)
