"""What the products with sparse matrices share: the dtypes they take, and when a kernel is called without its operator.

Arrays are float32 or bfloat16 for the native kernels, the stored values and the input each as they like; sums are
float32, and a result is rounded once, to the dtype of the input. Any other dtype runs through the references.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, is_grad_enabled
from torch._C import _get_tracing_state
from torch._C._functorch import peek_interpreter_stack
from torch.compiler import is_compiling
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from gossamer.errors import DataError
from gossamer.kernels.checks import check_device, check_float, describe, kind

ELEMENTS = {torch.float32: 0, torch.bfloat16: 1}
"""What native kernels read, and its number there."""


def element(dtype: torch.dtype) -> int | None:
    """Returns the number of a dtype that native kernels read; None for any other."""
    return ELEMENTS.get(dtype)


def check_values(values: Tensor, x: Tensor) -> None:
    """Raises DataError unless `values` has the dtype of `x`, or both are float32 or bfloat16."""
    check_float(values, "values")
    if values.dtype is x.dtype or (values.dtype in ELEMENTS and x.dtype in ELEMENTS):
        return
    raise DataError(f"values: expected the dtype of x, {kind(x)}, found {describe(values)}")


def check_bias(bias: Tensor, x: Tensor, rows: int) -> None:
    """Raises DataError unless `bias` is (rows,), of the dtype of `x` and on its device."""
    check_float(bias, "bias", like=x)
    check_device(x, bias, "bias")
    if bias.shape != (rows,):
        raise DataError(f"bias: expected shape ({rows},), found {describe(bias)}")


def wide(tensor: Tensor) -> Tensor:
    """Returns the numbers in the dtype in which sums are kept: float32, or float64 for float64."""
    return tensor if tensor.dtype is torch.float64 else tensor.float()


def finish(out: Tensor, bias: Tensor | None, relu: bool, dtype: torch.dtype) -> Tensor:
    """Returns relu(out + bias) in `dtype` for sums whose last axis is the rows of the matrix; the references' end."""
    out = out if bias is None else out + wide(bias)
    return (out.relu() if relu else out).to(dtype)


def behind_relu(grad: Tensor, out: Tensor | None) -> Tensor:
    """Returns the gradient in front of a ReLU whose result was `out`; None for no ReLU."""
    return grad if out is None else torch.ops.aten.threshold_backward(grad, out, 0)


def by_columns(x: Tensor) -> bool:
    """Whether x (B, C) lies in memory as a contiguous (C, B)."""
    return x.dim() == 2 and not x.is_contiguous() and x.T.is_contiguous()


def direct(x: Tensor, values: Tensor, bias: Tensor | None) -> bool:
    """Whether a kernel may be called for x (B, C) as it is, without the operator that stands for it.

    That takes longer than a small product. It may be left out where nothing but the kernel needs to see the product (no
    gradient, tracing, mode or subclass) and there is nothing to convert: x is a contiguous matrix on the CPU, all of
    one dtype. Each question costs up to a tenth of a microsecond.
    """
    if not x.is_contiguous() or x.dim() != 2:
        return False
    dtype = x.dtype
    if values.dtype is not dtype or (bias is not None and bias.dtype is not dtype):
        return False
    if is_grad_enabled() and (x.requires_grad or values.requires_grad or (bias is not None and bias.requires_grad)):
        return False
    return untraced(x)


def untraced(x: Any) -> bool:
    """Whether `x` is a plain tensor on the CPU, and nothing follows what is done with it but perhaps gradients."""
    if is_compiling() or type(x) is not Tensor or not x.is_cpu or is_in_torch_dispatch_mode():
        return False
    return peek_interpreter_stack() is None and not _get_tracing_state()


def settle(*tensors: Any) -> tuple[Any, ...]:
    """Returns the tensors contiguous; None stays None."""
    return tuple([None if tensor is None else tensor.contiguous() for tensor in tensors])
