"""The gradients of a product with stored values, whose three operators are bilinear in one another.

    product    out = W x                        of values and x
    input      Wᵀ · flow                        of values and flow: the gradient of x
    values     flow · xᵀ at the stored places   of flow and x: the gradient of the values

So each is differentiable by the other two. All begin with the pattern, `indptr` and `columns`, and the two tensors that
they are bilinear in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gossamer.kernels import native
from gossamer.kernels.library import index_error
from gossamer.kernels.products import behind_relu, element, settle

Operator = Callable[..., Tensor]
"""One of the three: of the pattern, its two tensors, a third that only shows the size of the result, and settings."""


@dataclass(frozen=True)
class Bilinear:
    """A product without bias or ReLU, and its two gradients, for autograd.

    Attributes:
        product: Of (values, x), its outputs as many as those of `flow`.
        input: Of (values, flow), of the size of `x`.
        values: Of (flow, x), in the layout of `values`.
        settings: How many arguments at the end of the two gradients' operators all three share.
    """

    product: Operator
    input: Operator
    values: Operator
    settings: int

    def save(self, ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keeps what the gradients of `input` and `values` need."""
        del output
        ctx.save_for_backward(*inputs[:4])
        ctx.settings, ctx.others = inputs[-self.settings :], len(inputs) - 4

    def input_backward(self, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of `input`."""
        indptr, columns, values, flow = ctx.saved_tensors
        grad_values = grad_flow = None
        if ctx.needs_input_grad[2]:
            grad_values = self.values(indptr, columns, flow, grad, values, *ctx.settings).to(values.dtype)
        if ctx.needs_input_grad[3]:
            grad_flow = self.product(indptr, columns, values, grad, flow, *ctx.settings)
        return None, None, grad_values, grad_flow, *[None] * ctx.others

    def values_backward(self, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of `values`."""
        indptr, columns, flow, x = ctx.saved_tensors
        grad_flow = grad_x = None
        if ctx.needs_input_grad[2]:
            grad_flow = self.product(indptr, columns, grad, x, flow, *ctx.settings)
        if ctx.needs_input_grad[3]:
            grad_x = self.input(indptr, columns, grad, flow, x, *ctx.settings)
        return None, None, grad_flow, grad_x, *[None] * ctx.others

    def save_product(self, ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keeps what the gradient of the whole product needs; its last arguments are the settings and `relu`."""
        ctx.save_for_backward(*inputs[:4], output if inputs[-1] else None)
        ctx.settings = inputs[-1 - self.settings : -1]

    def product_backward(self, ctx: Any, grad: Tensor, *, bias: int, axes: Callable[..., Any]) -> Any:
        """The gradient of the whole product; `bias` is the place of that argument.

        `axes` tells from the settings over which axes of the result the gradient of the bias is summed.
        """
        indptr, columns, values, x, rectified = ctx.saved_tensors
        flow = behind_relu(grad, rectified)
        grads: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        if ctx.needs_input_grad[3]:  # first, while the values' gradient does not lie beside what this one needs
            grads[3] = self.input(indptr, columns, values, flow, x, *ctx.settings)
        if ctx.needs_input_grad[2]:
            grads[2] = self.values(indptr, columns, flow, x, values, *ctx.settings).to(values.dtype)
        if ctx.needs_input_grad[bias]:
            grads[bias] = flow.sum(axes(*ctx.settings))
        return tuple(grads)


def run_values(
    indptr: Tensor, columns: Tensor, flow: Tensor, x: Tensor, by_example: bool, *, height: int | None
) -> Tensor:
    """Runs the kernel of a linear layer's values' gradient: (n, height), or (n,) in CSR form, where `height` is None.

    Args:
        indptr: With `columns` the pattern.
        columns: (n,).
        flow: (R, B), or (B, R) by example; float32 or bfloat16.
        x: (C, B), or (B, C) by example.
        by_example: Whether `flow` and `x` have one row an example.
        height: Rows of a block.

    Raises:
        DataError: A column is out of range.
    """
    indptr, columns, flow, x = settle(indptr, columns, flow, x)
    batch, rows = flow.shape if by_example else flow.shape[::-1]
    width = x.shape[by_example]
    out = x.new_empty(columns.shape[0], *() if height is None else (height,))
    module: Any = native.kernels()
    inside = module.product_values(
        rows,
        width,
        batch,
        columns.shape[0],
        columns.itemsize,
        height or 1,
        element(flow.dtype),
        indptr.data_ptr(),
        columns.data_ptr(),
        x.data_ptr(),
        flow.data_ptr(),
        out.data_ptr(),
        by_example,
        torch.get_num_threads(),
    )
    if not inside:
        raise index_error("indices" if height is None else "columns", width)
    return out
