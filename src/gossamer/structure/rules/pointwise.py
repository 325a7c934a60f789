"""Operators that work position by position: equal dimensions, after broadcasting.

Every operator that PyTorch tags as pointwise is among them; here are the others.
"""

from __future__ import annotations

from torch import Tensor

from gossamer.structure.axes import split
from gossamer.structure.rules.table import Axes, Call, broadcast, rule

_SAME = (
    *("add", "detach", "alias", "lift", "lift_fresh", "lift_fresh_copy", "_to_copy", "copy", "fill", "zero", "clone"),
    *("_prelu_kernel", "floor_divide", "bernoulli", "uniform", "normal", "exponential", "random", "dropout"),
    *("contiguous", "_conj", "conj_physical", "_neg_view", "isclose", "hardswish", "hardsigmoid", "masked_fill"),
    *("rand_like", "randn_like", "zeros_like", "ones_like", "empty_like", "full_like", "celu", "selu", "rrelu"),
    *(
        "tril",
        "triu",
        "isin",
        "_softmax_backward_data",
        "bucketize",
        "where",
        "log_sigmoid",
        "one_minus",
        "requires_grad",
    ),
)


@rule(*_SAME)
def pointwise(call: Call) -> Axes | None:
    """Ties all that lies over each other."""
    if not isinstance(call.out, Tensor):
        return None
    return broadcast(call, call.tensors(), call.out.shape)


@rule("native_dropout", "rrelu_with_noise", "log_sigmoid_forward", "frexp", "aminmax")
def pointwise_pair(call: Call) -> list[Axes] | None:
    """Results of the shape of the input."""
    shape = call.tensors()[0].shape
    if any(item.shape != shape for item in call.out):
        return None
    axes = call.axes(call.tensors()[0])
    return [axes for _ in call.out]


@rule("glu")
def glu(call: Call) -> Axes:
    """One half times the sigmoid of the other."""
    axes = list(call.axes("self"))
    dim = call["dim"] % len(axes)
    left, right = split(axes[dim], axes[dim].size // 2)
    axes[dim] = call.tie(left, right)
    return tuple(axes)


@rule(
    "_softmax",
    "_log_softmax",
    "softmax",
    "log_softmax",
    "_safe_softmax",
    "cumsum",
    "cumprod",
    "logcumsumexp",
    "flip",
    "roll",
    "linalg_cross",
    "cumsum",
    "cummax",
    "renorm",
)
def along(call: Call) -> Axes | None:
    """Each position depends on all others, or on its place: none may go."""
    axes = call.axes("self")
    for dim in call.dims("dims" if call.get("dim") is None else "dim", len(axes)):
        axes[dim].freeze(f"{call.name.strip('_')} runs along it in {call.trace.where}")
    return axes


@rule("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided")
def new(call: Call) -> Axes:
    """A tensor of given sizes, of which only the dtype is another's."""
    return tuple(call.fresh(size) for size in call.out.shape)
