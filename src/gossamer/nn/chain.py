"""Linear layers with ReLU between them as one step of automatic differentiation, on the CPU.

Small layers on many rows, such as those of a network on node vectors, spend as much time between products as in them.
Here bias, ReLU and the gradient behind the ReLU are part of the products, whose order is chosen by their shape
(`kernels.flows`), and the whole chain is one node of the graph. The gradients are

    D_l = dL/dz_l,    dL/dW_l = D_lᵀ h_{l-1},    dL/db_l = 1ᵀ D_l,    D_{l-1} = (D_l W_l) ⊙ [h_{l-1} > 0]

for z_l = h_{l-1} W_lᵀ + b_l and h_l = relu(z_l), after which a dropped element of h_l is zero and the others are
divided by the share that is kept. Gradients of these gradients are left to torch, which computes the chain again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.kernels import native
from gossamer.kernels.flows import logistic_chain, multiply
from gossamer.kernels.products import untraced
from gossamer.nn.dropout import dropout, kept_share
from gossamer.nn.linear import Linear

_PLAIN = (Linear, nn.Linear)


def chains(x: Any, layers: Iterable[nn.Module]) -> bool:
    """Whether `chain` can stand for calling the layers one by one: nothing but their arithmetic would be missed."""
    if not (torch.is_grad_enabled() and native.available() and untraced(x)) or x.dim() != 2 or not _plain(x):
        return False
    first = next(iter(layers), None)
    if not isinstance(first, nn.Linear) or x.shape[1] != first.in_features:
        return False
    return not _watched() and all(map(_is_plain_layer, layers))


def chain(x: Any, layers: Iterable[nn.Module], *, drop: float = 0.0) -> Tensor:
    """Returns what layers make of x, with ReLU between them, where `chains` says that they can be called so.

    Args:
        x: (B, F) float32.
        layers: Linear layers, each as wide as the one before it makes.
        drop: Probability of dropping an element of a hidden layer.

    Returns:
        (B, F') float32, with gradients as those of the layers called one by one, up to rounding.
    """
    parameters = [part for layer in layers for part in (layer.weight, layer.bias)]
    out: Tensor = _Chain.apply(x, drop, *parameters)  # type: ignore[no-untyped-call]
    return out


def chain_logistic(x: Tensor, y: Tensor, layers: Iterable[nn.Module]) -> Tensor:
    """Returns the mean logistic loss of the scores that `chain` makes, one a row, in one pass over the rows.

    Args:
        x: (B, F) float32 without gradient, for which `chains`.
        y: (B,) float32 in [0, 1].
        layers: As of `chain`; the last has one output.
    """
    parameters = [part for layer in layers for part in (layer.weight, layer.bias)]
    loss: Tensor = _Logistic.apply(x, y, *parameters)  # type: ignore[no-untyped-call]
    return loss


def learn_logistic(x: Tensor, y: Tensor, layers: Iterable[nn.Module]) -> Tensor:
    """Returns the loss of `chain_logistic` without gradient, and leaves its gradients in those of the parameters.

    Of a small network, automatic differentiation takes as long as the arithmetic; here it is not asked.
    """
    pairs = [(layer.weight, layer.bias) for layer in layers]
    loss, found = logistic_chain(x, y, *zip(*pairs, strict=True))
    parameters = [part for pair in pairs for part in pair if part is not None]
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.grad = gradient if parameter.requires_grad else None
    return loss


class _Logistic(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, *parameters: Tensor | None) -> Tensor:
        weights = [part for part in parameters[::2] if part is not None]
        loss, found = logistic_chain(x, y, weights, parameters[1::2])
        ctx.found = found
        ctx.save_for_backward(x, y, *parameters)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, y, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            loss = F.binary_cross_entropy_with_logits(_plain_chain(x, parameters)[:, 0], y)
            return None, None, *_gradients(loss, parameters, ctx.needs_input_grad[2:], gradients[0])
        found = iter(torch._foreach_mul(ctx.found, gradients[0]))
        return None, None, *(None if part is None else next(found) for part in parameters)


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, *parameters: Tensor | None) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        hidden, out = [], x
        for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            assert weight is not None
            last = place == len(weights) - 1
            out = multiply(out, weight.T, bias=bias, relu=not last)
            if not last:
                out = dropout(out, p)
                hidden.append(out)
        ctx.kept = kept_share(p)
        ctx.save_for_backward(x, *parameters, *hidden)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        layers = (len(saved) + 1) // 3
        parameters, hidden = saved[: 2 * layers], saved[2 * layers :]
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            out = _plain_chain(x, parameters, hidden, ctx.kept)
            x_grad, *others = _gradients(out, [x, *parameters], [wanted[0], *wanted[2:]], gradients[0])
            return x_grad, None, *others
        flow = gradients[0].contiguous()
        found: list[Tensor | None] = [None] * (2 * layers)
        for place in reversed(range(layers)):
            weight, below = parameters[2 * place], hidden[place - 1] if place else x
            if wanted[2 + 2 * place]:
                found[2 * place] = multiply(flow.T, below)
            if wanted[3 + 2 * place]:
                found[2 * place + 1] = multiply(torch.ones(1, len(flow)), flow)[0]
            if place:
                flow = multiply(flow, weight, gate=below)
                if ctx.kept < 1.0:
                    flow /= ctx.kept
        return multiply(flow, parameters[0]) if wanted[0] else None, None, *found


def _plain_chain(
    x: Tensor, parameters: Sequence[Tensor | None], hidden: Sequence[Tensor] = (), kept: float = 1.0
) -> Tensor:
    """Computes a chain by torch alone; `hidden` says which elements are above zero and were not dropped."""
    for place in range(len(parameters) // 2):
        x = F.linear(x, *parameters[2 * place : 2 * place + 2])  # type: ignore[arg-type]
        if place < len(parameters) // 2 - 1:
            x = x * ((hidden[place] > 0) / kept) if hidden else x.relu()
    return x


def _gradients(
    out: Tensor, parts: Sequence[Tensor | None], wanted: Sequence[bool], gradient: Tensor
) -> list[Tensor | None]:
    """Returns gradients that have gradients, None where none is wanted."""
    asked = [part for part, want in zip(parts, wanted, strict=True) if want and part is not None]
    made = iter(torch.autograd.grad(out, asked, gradient, create_graph=True, allow_unused=True))
    return [next(made) if want and part is not None else None for part, want in zip(parts, wanted, strict=True)]


def _plain(x: Tensor) -> bool:
    return x.dtype is torch.float32 and x.is_cpu


def _watched() -> bool:
    return bool(nn.modules.module._has_any_global_hook())  # type: ignore[no-untyped-call]


def _is_plain_layer(layer: nn.Module) -> bool:
    """Whether a layer is linear and nothing else: no hook, no parametrisation, float32 on the CPU."""
    if not isinstance(layer, nn.Linear) or type(layer) not in _PLAIN:
        return False
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks:
        return False
    return _plain(layer.weight) and (layer.bias is None or _plain(layer.bias))
