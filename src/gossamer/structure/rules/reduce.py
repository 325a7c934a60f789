"""Operators that reduce dimensions: sums use what a unit holds, means are over the units kept, others choose."""

from __future__ import annotations

from torch import Tensor

from gossamer.structure.axes import Axis
from gossamer.structure.rules.table import Axes, Call, broadcast, rule

_SUMS = ("sum", "nansum", "linalg_vector_norm", "norm")
_MEANS = ("mean", "var", "std", "var_mean", "std_mean", "nanmean")
_CHOICES = (
    *("amax", "amin", "max", "min", "argmax", "argmin", "logsumexp", "prod", "any", "all", "median", "nanmedian"),
    *("mode", "kthvalue", "count_nonzero", "aminmax"),
)


@rule(*_SUMS, *_MEANS, *_CHOICES)
def reduce(call: Call) -> list[Axes] | Axes:
    """Leaves the dimensions that are not reduced."""
    if isinstance(call.get("other"), Tensor):
        return broadcast(call, call.tensors(), call.out.shape)  # the larger of two, position by position
    axes = call.axes(call.first("self", "x"))
    dims = call.dims("dim", len(axes))
    for dim in dims:
        if call.name in _CHOICES:
            axes[dim].freeze(f"{call.name} is taken over it in {call.trace.where}")
        else:
            axes[dim].consume()
    if call.name in _MEANS:
        call.trace.normalised.append((call.name, axes))
    result = tuple(
        Axis(1) if place in dims else axis
        for place, axis in enumerate(axes)
        if place not in dims or call.get("keepdim", False)
    )
    return [result for _ in call.out] if isinstance(call.out, list | tuple) else result


@rule("sort", "argsort", "msort")
def sort(call: Call) -> list[Axes] | Axes:
    """An order of all positions."""
    axes = call.axes("self")
    axes[call.get("dim", -1)].freeze(f"it is sorted in {call.trace.where}")
    return [axes for _ in call.out] if isinstance(call.out, list | tuple) else axes


@rule("topk")
def topk(call: Call) -> list[Axes]:
    """The largest along a dimension."""
    axes = list(call.axes("self"))
    dim = call["dim"] % max(len(axes), 1)
    axes[dim].freeze(f"the largest are taken along it in {call.trace.where}")
    axes[dim] = call.fresh(call.out[0].shape[dim], "its positions are the largest of another axis")
    return [tuple(axes) for _ in call.out]
