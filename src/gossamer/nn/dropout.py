"""Dropout for dense tensors and for the stored values of sparse ones.

A stored zero stays zero whatever the mask, so a CSR drops only among its values: the same distribution as
dropout of the dense matrix at the cost of its nonzeros.

On a processor torch draws one random number of 32 bits or more per element from one thread, which makes
dropout of a wide input slower than the layer behind it. Here a 64-bit draw decides four elements, 16 bits
each. The keep probability is therefore a multiple of 2⁻¹⁶, and the scale uses the rounded one, so the
expectation is exact. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
JMLR 2014, in the form that scales while training.
"""

from __future__ import annotations

from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import SettingError
from gossamer.graph import CSR

_LEVELS = 1 << 16


@overload
def dropout(x: Tensor, p: float, training: bool = True) -> Tensor: ...
@overload
def dropout(x: CSR, p: float, training: bool = True) -> CSR: ...
def dropout(x: Tensor | CSR, p: float, training: bool = True) -> Tensor | CSR:
    """Sets each element to zero with probability `p` and scales the others by 1 / (1 − p).

    Args:
        x: A tensor of any shape, or a CSR, of which the values are dropped and the structure is kept.
        p: The probability of zero, in [0, 1].
        training: False returns `x` itself.

    Returns:
        Of the same kind and shape as `x`; reproducible after `torch.manual_seed`.

    Raises:
        SettingError: `p` is outside [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise SettingError(f"dropout probability is {p!r}; expected a number in [0, 1]")
    if not training or round(p * _LEVELS) == 0:
        return x
    if isinstance(x, CSR):
        values = x.values
        if values is None:
            values = torch.ones(x.nnz, device=x.indptr.device)
        x.transpose  # noqa: B018 - found here once, it is shared by every dropped copy
        return x.with_values(dropout(values, p))
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p)
    dropped: Tensor = _Dropout.apply(x, p)  # type: ignore[no-untyped-call]
    return dropped


def kept_share(p: float) -> float:
    """Returns the share of elements that `dropout` keeps, by which it divides them."""
    return 1.0 - round(p * _LEVELS) / _LEVELS


def dropping(p: float, training: bool) -> dict[str, Any]:
    """Returns what tells an attention kernel which weights to drop: a probability, and a seed drawn from torch's.

    Args:
        p: The probability of zero, in [0, 1].
        training: False drops nothing and draws nothing.
    """
    if not training or p == 0.0:
        return {"dropout": 0.0, "seed": 0}
    return {"dropout": p, "seed": int(torch.randint(1 << 32, ()))}


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        draws = draws.view(torch.int16)[: x.numel()].view(x.shape)
        ctx.kept = _LEVELS - round(p * _LEVELS)
        # The mask is recomputed from the draws: two bytes an element are held, and none where x is data.
        ctx.save_for_backward(draws if ctx.needs_input_grad[0] else None)
        return _scaled(x, draws, ctx.kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (draws,) = ctx.saved_tensors
        return _scaled(gradients[0], draws, ctx.kept), None


def _scaled(x: Tensor, draws: Tensor, kept: int) -> Tensor:
    """Returns `x` where a draw, uniform on [-2¹⁵, 2¹⁵), is among the lowest `kept`, scaled; zero elsewhere."""
    mask = torch.empty_like(x)  # written as numbers at once: a boolean mask would be a pass of its own
    torch.lt(draws, kept - _LEVELS // 2, out=mask)
    return mask.mul_(x).mul_(_LEVELS / kept if kept else 0.0)
