"""Products of small dense matrices in four dataflows, and which of them a shape wants.

After Gurevin, Shan, Geng, Jiang, Ding & Khan, "Towards real-time temporal graph learning", ICCD 2022, whose finding is
that training a small network on node vectors is the bottleneck, and that the order in which its products run decides
how long they take:

    inner    Z[i, j]  = X[i, :] · Y[:, j]
    outer    Z       += X[:, k] Y[k, :]
    row      Z[i, :] += X[i, k] Y[k, :]
    column   Z[:, j] += X[:, k] Y[k, j]

Plain functions, as the samplers are; `nn.chain` gives them gradients. `gossamer bench kernels --family flows` times all
four on the products of the paper's networks, and is what `best_flow` is taken from.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.checks import describe

_FEW, _LANES = 4, 16


class Flow(enum.IntEnum):
    """In which order a product runs; the numbers are those of the native kernels."""

    INNER = 0
    OUTER = 1
    ROW = 2
    COLUMN = 3


def best_flow(rows: int, inner: int, columns: int) -> Flow:
    """Returns the dataflow for (rows, inner) times (inner, columns): a rule, so that results do not depend on times.

    A column or a few leave the lanes of a row empty, so dot products along `inner` are faster, if that is long; where
    that is so of a vector's width of columns, rows fill the lanes instead. Of few rows the outer flow reads Y once,
    as it lies. Everything else is fastest row by row.
    """
    if rows <= _LANES:
        return Flow.OUTER
    if columns <= _FEW and inner >= _LANES:
        return Flow.INNER
    return Flow.COLUMN if columns < _LANES else Flow.ROW


def multiply(
    x: Tensor,
    y: Tensor,
    *,
    bias: Tensor | None = None,
    relu: bool = False,
    gate: Tensor | None = None,
    flow: Flow | None = None,
) -> Tensor:
    """Returns relu(x y + bias), zero where the gate is not above zero; no gradients.

    Args:
        x: (M, K) float32, of any strides.
        y: (K, N) float32, of any strides.
        bias: (N,) contiguous, or None.
        relu: Whether negative results become zero.
        gate: (M, N) contiguous, or None.
        flow: In which order; None takes `best_flow`.

    Returns:
        (M, N) contiguous, the same bits for every number of threads.

    Raises:
        DataError: Shapes do not fit, or an array is not float32 on the CPU.
    """
    rows, inner, columns = _checked(x, y, bias, gate)
    module = native.kernels()
    if module is None:
        return multiply_reference(x, y, bias=bias, relu=relu, gate=gate)
    out = torch.empty(rows, columns)
    module.flow_product(
        best_flow(rows, inner, columns) if flow is None else flow,
        rows,
        inner,
        columns,
        x.data_ptr(),
        *x.stride(),
        y.data_ptr(),
        *y.stride(),
        native.address(bias),
        relu,
        native.address(gate),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    return out


def multiply_reference(
    x: Tensor, y: Tensor, *, bias: Tensor | None = None, relu: bool = False, gate: Tensor | None = None
) -> Tensor:
    """The pure-torch reference of `multiply`."""
    out = x @ y
    if bias is not None:
        out = out + bias
    if relu:
        out = out.relu()
    return out if gate is None else torch.where(gate > 0, out, 0.0)


_CHAIN_THREADS_PAY = 1 << 24  # multiply-adds, half a millisecond's; below, a wait for a busy core costs more


def logistic_chain(
    x: Tensor, y: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """Returns the mean logistic loss of linear layers with ReLU between them, and the gradients of their parameters.

    One pass over the rows: a block of them goes forwards and backwards while it is in cache, its products each in
    their `best_flow`.

    Args:
        x: (B, F) float32, B at least 1.
        y: (B,) float32 in [0, 1].
        weights: (outputs, inputs) of each layer, contiguous, float32; the last has one output.
        biases: (outputs,) of each layer, or None.

    Returns:
        The loss, (), and the gradients: of the first weight, of its bias where there is one, of the second, ...;
        the same bits for every number of threads.
    """
    module = native.kernels()
    if module is None:
        return logistic_chain_reference(x, y, weights, biases)
    sizes = (x.shape[1], *(weight.shape[0] for weight in weights))
    loss, gradients, layers = torch.empty(()), [], []
    for weight, bias, flows in zip(weights, biases, _chain_flows(sizes, min(module.chain_block, len(x))), strict=True):
        found = [torch.empty_like(part) for part in (weight, bias) if part is not None]
        gradients += found
        outputs, inputs = weight.shape
        address, bias_address = weight.data_ptr(), native.address(bias)
        layers.append((inputs, outputs, address, bias_address, found[0].data_ptr(), found[-1].data_ptr(), *flows))
    x, y = x.contiguous(), y.contiguous()
    work = 3 * len(x) * sum(weight.numel() for weight in weights)
    threads = torch.get_num_threads() if work >= _CHAIN_THREADS_PAY else 1
    module.logistic_chain(len(x), layers, x.data_ptr(), y.data_ptr(), loss.data_ptr(), threads)
    return loss, gradients


@lru_cache(maxsize=64)
def _chain_flows(sizes: tuple[int, ...], rows: int) -> list[tuple[int, int, int]]:
    """Returns the flows of the products of each layer: forwards, of the weight's gradient, of the input's."""
    return [
        (
            int(best_flow(rows, inputs, outputs)),
            int(best_flow(outputs, rows, inputs)),
            int(best_flow(rows, outputs, inputs)),
        )
        for inputs, outputs in pairwise(sizes)
    ]


def logistic_chain_reference(
    x: Tensor, y: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """The pure-torch reference of `logistic_chain`."""
    layers = [
        (weight.detach().requires_grad_(), None if bias is None else bias.detach().requires_grad_())
        for weight, bias in zip(weights, biases, strict=True)
    ]
    parts = [part for layer in layers for part in layer if part is not None]
    with torch.enable_grad():
        out = x
        for place, (weight, bias) in enumerate(layers):
            out = F.linear(out.relu() if place else out, weight, bias)
        loss = F.binary_cross_entropy_with_logits(out[:, 0], y)
        return loss.detach(), list(torch.autograd.grad(loss, parts))


def _checked(x: Tensor, y: Tensor, bias: Tensor | None, gate: Tensor | None) -> tuple[int, int, int]:
    for name, given in (("x", x), ("y", y), ("bias", bias), ("gate", gate)):
        if given is not None and (given.dtype is not torch.float32 or not given.is_cpu):
            raise DataError(f"{name}: expected float32 on the CPU, found {describe(given)}")
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[0]:
        raise DataError(f"x, y: expected (M, K) and (K, N), found {describe(x)} and {describe(y)}")
    rows, columns = x.shape[0], y.shape[1]
    for name, given, shape in (("bias", bias, (columns,)), ("gate", gate, (rows, columns))):
        if given is not None and (given.shape != shape or not given.is_contiguous()):
            raise DataError(f"{name}: expected {shape}, contiguous, found {describe(given)}")
    return rows, x.shape[1], columns
