"""The masked twin: the original network with units at zero, which the smaller network must equal.

Every position of a parameter or buffer that a removal takes away is zero in the twin, in what makes the unit and in
what uses it, so the unit adds nothing anywhere. Means are the exception: what a normalisation averages over is, in the
smaller network, the units that stay. So where the run takes a mean over an axis that loses units, the twin takes it
over those that stay.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.counting import Macs, evaluating
from gossamer.structure.axes import Axis
from gossamer.structure.removal import Removal, removed_positions
from gossamer.structure.rules.table import plain_name
from gossamer.structure.trace import Axes, Trace, plain_paths, results_in, shallow_copy
from gossamer.train.randomness import seeded

TOLERANCE = 1e-4  # of the largest number in the outputs


def masked(model: nn.Module, removal: Removal) -> nn.Module:
    """Returns a copy of a network with zeros where the removal takes positions away."""
    twin = shallow_copy(model)
    tensors: dict[str, Tensor] = dict(twin.named_parameters(remove_duplicate=False))
    tensors |= dict(twin.named_buffers(remove_duplicate=False))
    with torch.no_grad():
        for name, gone in removed_positions(removal.cuts).items():
            tensors[name].data = tensors[name].data.clone()
            for dim, positions in gone:
                tensors[name].index_fill_(dim, positions.to(tensors[name].device), 0)
    return twin


def outputs(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    within: AbstractContextManager[Any] | None = None,
) -> list[Tensor]:
    """Runs a network in eval mode, without gradients and fused shortcuts; returns the tensors of its result.

    What a network draws at random even then is the same in every run.
    """
    args, kwargs = copy.deepcopy((tuple(args), dict(kwargs)))
    with evaluating(model), torch.no_grad(), plain_paths(model), seeded(0, torch.device("cpu")):
        with within or nullcontext():
            result = model(*args, **kwargs)
        return results_in(result)


def counted_outputs(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    within: AbstractContextManager[Any] | None = None,
) -> tuple[list[Tensor], int]:
    """Returns what `outputs` does, and the multiply-accumulates of the run."""
    macs = Macs()
    with ExitStack() as stack:
        if within is not None:
            stack.enter_context(within)
        found = outputs(model, args, kwargs, within=macs)
    return found, macs.total


def twin_outputs(
    trace: Trace,
    model: nn.Module,
    removal: Removal,
    kept: Mapping[Axis, Tensor],
    *,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> tuple[list[Tensor], int]:
    """Returns what the masked twin of a network computes, and the multiply-accumulates of that."""
    return counted_outputs(masked(model, removal), args, kwargs, within=OverKept(trace.normalised, kept))


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Returns the largest difference of two results, as a fraction of the largest number in them; inf if not alike."""
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in expected]:
        return float("inf")
    worst, largest = 0.0, 1e-6
    for one, other in zip(found, expected, strict=True):
        if not one.numel() or not (one.is_floating_point() or one.is_complex()):
            continue
        finite = torch.isfinite(other)
        if not torch.equal(finite, torch.isfinite(one)):
            return float("inf")
        if bool(finite.any()):
            worst = max(worst, float((one - other)[finite].abs().max()))
            largest = max(largest, float(other[finite].abs().max()))
    return worst / largest


class OverKept(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes means over the units that stay, in the operators that a trace saw taking one."""

    def __init__(self, normalised: Sequence[tuple[str, Axes]], kept: Mapping[Axis, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._normalised = list(normalised)
        self._names = {name for name, _ in normalised}
        self._kept = kept
        self._place = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        name = plain_name(func)
        if name in self._names and self._place < len(self._normalised):
            expected, axes = self._normalised[self._place]
            if expected == name and isinstance(args[0], Tensor) and [a.size for a in axes] == list(args[0].shape):
                self._place += 1
                stay = [axis.keep(self._kept) for axis in axes]
                if not all(bool(mask.all()) for mask in stay):
                    return _over_kept(func, name, args, kwargs, stay)
        result = func(*args, **kwargs)
        if name in {"div", "_weight_norm_interface"}:  # the direction of a weight of zeros is 0 / 0
            items = result if isinstance(result, tuple) else (result,)
            cleared = tuple(torch.nan_to_num(item, nan=0.0) if item.is_floating_point() else item for item in items)
            return cleared if isinstance(result, tuple) else cleared[0]
        return result


def _over_kept(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], stay: list[Tensor]) -> Any:
    x = args[0]
    if name in {"native_layer_norm", "_fused_rms_norm", "rms_norm"}:
        return _layer_norm(func, args, kwargs, stay)
    if name == "native_group_norm":
        return _group_norm(func, args, stay)
    if "batch_norm" in name:
        small = _select(x, dict(enumerate(stay)))
        channels = [None if one is None else _select(one, {0: stay[1]}) for one in args[1:5]]
        result = func(small, *channels, *args[5:], **kwargs)
        return (_spread(result[0], x, dict(enumerate(stay))), *result[1:])
    schema = [argument.name for argument in func._schema.arguments]
    given = args[schema.index("dim")] if "dim" in schema and len(args) > schema.index("dim") else kwargs.get("dim")
    dims = range(x.dim()) if given is None or given == [] else given if isinstance(given, list | tuple) else [given]
    return func(_select(x, {dim % x.dim(): stay[dim] for dim in dims}), *args[1:], **kwargs)


def _layer_norm(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stay: list[Tensor]) -> Any:
    x, shape, *rest = args
    last = {x.dim() - len(shape) + place: stay[x.dim() - len(shape) + place] for place in range(len(shape))}
    small = _select(x, last)
    weights = [
        _select(item, {place: stay[x.dim() - len(shape) + place] for place in range(len(shape))})
        if isinstance(item, Tensor)
        else item
        for item in rest
    ]
    result = func(small, list(small.shape[-len(shape) :]), *weights, **kwargs)
    if isinstance(result, Tensor):
        return _spread(result, x, last)
    return (_spread(result[0], x, last), *result[1:])


def _group_norm(func: Any, args: tuple[Any, ...], stay: list[Tensor]) -> Any:
    x, weight, bias, batch, _, places, groups, eps = args
    channels = stay[1]
    whole = channels.view(groups, -1).any(1)
    small = _select(x, {1: channels})
    weight, bias = (None if item is None else _select(item, {0: channels}) for item in (weight, bias))
    result = func(small, weight, bias, batch, small.shape[1], places, int(whole.sum()), eps)
    return (
        _spread(result[0], x, {1: channels}),
        *(_spread(item, item.new_zeros(batch, groups), {1: whole}) for item in result[1:]),
    )


def _select(tensor: Tensor, stay: Mapping[int, Tensor]) -> Tensor:
    for dim, mask in stay.items():
        if not bool(mask.all()):
            tensor = tensor.index_select(dim, mask.nonzero().flatten().to(tensor.device))
    return tensor


def _spread(small: Tensor, like: Tensor, stay: Mapping[int, Tensor]) -> Tensor:
    """Puts what was computed where it belongs, and zeros elsewhere."""
    for dim, mask in stay.items():
        if not bool(mask.all()):
            shape = list(small.shape)
            shape[dim] = len(mask)
            whole = small.new_zeros(shape)
            small = whole.index_copy(dim, mask.nonzero().flatten().to(small.device), small)
    assert small.shape == like.shape
    return small
