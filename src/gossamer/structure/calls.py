"""What Python asks of PyTorch, with the sizes it gives: which axes they measure.

Below the dispatcher every size is a plain number; here it still is the `Size` that the network worked out.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_iter

from gossamer.structure.axes import Axis, Mismatch, split
from gossamer.structure.sizes import Size

if TYPE_CHECKING:
    from gossamer.structure.trace import Trace

# Where a function takes the sizes of its result: the place of the first among its arguments, and their keyword.
_SIZES = {
    **dict.fromkeys(("view", "reshape", "expand", "new_zeros", "new_ones", "new_empty"), (1, "size")),
    **dict.fromkeys(("new_full", "broadcast_to"), (1, "size")),
    **dict.fromkeys(("zeros", "ones", "empty", "full", "rand", "randn"), (0, "size")),
}
_SHAPE = {"reshape": "shape", "view": "size"}
_COUNTS = {  # functions whose argument counts groups: the place of it and its keyword
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), (6, "groups")),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), (6, "groups")),
    "group_norm": (1, "num_groups"),
}


class Calls(TorchFunctionMode):
    """Shows the trace every size that Python reads from a tensor or asks for."""

    def __init__(self, trace: Trace, *, sized: bool) -> None:
        super().__init__()
        self._trace = trace
        self._sized = sized  # whether sizes that are read know where they come from
        self._shape = {torch.Tensor.shape.__get__: None}  # type: ignore[attr-defined]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if self._sized and (func in self._shape or name == "size"):
            return self._read(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            with self:
                return _inside(func)(*args, **kwargs)
        if name in _COUNTS:
            place, keyword = _COUNTS[name]
            self._trace.arguments["groups"] = args[place] if len(args) > place else kwargs.get(keyword, 1)
        result = func(*args, **kwargs)
        self._trace.arguments.clear()
        if isinstance(result, Tensor) and func is torch.Tensor.data.__get__:  # type: ignore[attr-defined]
            self._trace.assign(result, self._trace.axes(args[0]))
        try:
            self._measure(name, args, kwargs, result)
        except (ArithmeticError, LookupError, TypeError, ValueError):  # a way to call it that is not known here
            for tensor in tree_iter(result):
                if isinstance(tensor, Tensor):
                    self._trace.freeze(
                        self._trace.axes(tensor), f"sizes given to {name} in {self._trace.where} are unclear"
                    )
        return result

    def _read(self, tensor: Tensor, dim: int | None = None) -> Any:
        """Returns all sizes of a tensor, or one of them."""
        if dim is not None:
            return self._trace.size_of(tensor, dim)
        return torch.Size([self._trace.size_of(tensor, place) for place in range(tensor.dim())])

    def _measure(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Tells the trace which axes the sizes among the arguments measure, or that they are computed with."""
        measure = _MEASURES.get(name)
        if measure is not None:
            measure(self._trace, args, kwargs, result)
        elif isinstance(result, Tensor) and name in _SIZES:
            place, keyword = _SIZES[name]
            _measure_sizes(self._trace, _given(args, kwargs, place, _SHAPE.get(name, keyword)), result)
            filled = kwargs.get("fill_value", args[place + 1] if len(args) > place + 1 else None)
            if "full" in name and type(filled) is Size:
                setattr(result, "_sizes", [filled.expression])  # noqa: B010  not a name of Tensor
        elif name in _ARITHMETIC or name in _MAKERS:
            given = [size.expression for size in tree_iter((args, kwargs)) if type(size) is Size]
            if name in _MAKERS and given:
                result._sizes = given
            for size in given if name in _ARITHMETIC else ():
                self._trace.used_as_number(size)


def _inside(func: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a Python function of PyTorch whose inner calls are seen: it does not ask for overrides itself."""
    never = {
        name: lambda *_: False
        for name in ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    }
    copied = types.FunctionType(
        func.__code__, {**func.__globals__, **never}, func.__name__, func.__defaults__, func.__closure__
    )
    copied.__kwdefaults__ = func.__kwdefaults__
    return copied


def _given(args: Sequence[Any], kwargs: dict[str, Any], place: int, keyword: str) -> Sequence[Any]:
    """Returns sizes that were given one by one, or as a sequence."""
    if keyword in kwargs:
        return kwargs[keyword] if isinstance(kwargs[keyword], Sequence) else (kwargs[keyword],)
    rest = args[place:]
    if rest and isinstance(rest[0], Sequence):
        return rest[0]
    return [item for item in rest if isinstance(item, int) and not isinstance(item, bool)]


def _measure_sizes(trace: Trace, given: Sequence[Any], result: Tensor) -> None:
    if len(given) != result.dim():
        return  # a view as another dtype
    for size, axis in zip(given, trace.axes(result), strict=True):
        if isinstance(size, int) and size >= 0:
            trace.measure(size, axis)


def _flatten(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    del kwargs
    sizes = args[2] if len(args) > 2 else ()
    dim = args[1] if len(args) > 1 else 0
    dim = dim % (args[0].dim())
    if isinstance(sizes, Sequence):
        for size, axis in zip(sizes, trace.axes(result)[dim : dim + len(sizes)], strict=True):
            if isinstance(size, int) and size >= 0:
                trace.measure(size, axis)


def _layer_norm(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    shape = args[1] if len(args) > 1 else kwargs["normalized_shape"]
    for size, axis in zip(reversed(shape), reversed(trace.axes(result)), strict=False):
        trace.measure(size, axis)


def _split(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Sequence[Tensor]) -> None:
    size = args[1] if len(args) > 1 else kwargs.get("split_size", kwargs.get("split_size_or_sections"))
    dim = args[2] if len(args) > 2 else kwargs.get("dim", 0)
    given = size if isinstance(size, Sequence) else [size] * len(result)
    for one, part in zip(given, result, strict=True):
        trace.measure(one, trace.axes(part)[dim])


def _index(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    """Slices: a bound is the number of positions before it."""
    del kwargs, result
    tensor, index = args[0], args[1]
    items = index if isinstance(index, tuple) else (index,)
    used = sum(1 for item in items if item is not None and item is not Ellipsis and not _is_mask(item))
    used += sum(item.dim() for item in items if _is_mask(item))
    dim = 0
    for item in items:
        if item is Ellipsis:
            dim += tensor.dim() - used
        elif _is_mask(item):
            dim += item.dim()
        elif item is not None:
            if isinstance(item, slice):
                axis = trace.axes(tensor)[dim]
                _bound(trace, item.start, axis)
                _bound(trace, item.stop, axis)
            dim += 1


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8)


def _bound(trace: Trace, bound: Any, axis: Axis) -> None:
    if not isinstance(bound, int) or bound == 0 or abs(bound) >= axis.size:
        return
    try:
        before, after = split(axis, bound % axis.size)
    except Mismatch:
        axis.freeze(f"it is cut in {trace.where} where its parts do not allow it")
        return
    if bound > 0:
        trace.measure(bound, before)
    else:
        trace.measure(-bound, after)


def _narrow(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    dim, start, length = (
        args[place] if len(args) > place else kwargs[key] for place, key in ((1, "dim"), (2, "start"), (3, "length"))
    )
    _bound(trace, start, trace.axes(args[0])[dim])
    trace.measure(length, trace.axes(result)[dim])


def _chunk(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Sequence[Tensor]) -> None:
    """Chunks are of one size, so their positions go together."""
    dim = args[2] if len(args) > 2 else kwargs.get("dim", 0)
    axes = [trace.axes(part)[dim] for part in result]
    if len({axis.size for axis in axes}) > 1:
        trace.freeze(axes, f"it is cut into chunks of unequal sizes in {trace.where}")
    else:
        trace.tie(*axes)


def _pad(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    """What is padded has a size of its own."""
    amounts = args[1] if len(args) > 1 else kwargs["pad"]
    for place in range(len(amounts) // 2):
        before, after = amounts[2 * place], amounts[2 * place + 1]
        axis = trace.axes(result)[-1 - place]
        if axis.root().kind != "concat" or min(before, after) < 0:
            continue
        left, rest = split(axis, before)
        trace.measure(before, left)
        trace.measure(after, split(rest, rest.size - after)[1])


def _arange(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    del kwargs
    if len(args) == 1 and isinstance(args[0], int):
        trace.measure(args[0], trace.axes(result)[0])


def _repeat(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    """The number of copies is a size where what is copied has one position."""
    counts = _given(args, kwargs, 1, "repeats")
    if len(counts) == result.dim():
        shape = [*[1] * (result.dim() - args[0].dim()), *(axis.size for axis in trace.axes(args[0]))]
        for count, old, axis in zip(counts, shape, trace.axes(result), strict=True):
            if old == 1:
                trace.measure(count, axis)


def _like(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> None:
    """The sizes are those of another tensor."""
    other = args[1] if len(args) > 1 else kwargs["other"]
    for one, axis in zip(trace.axes(other), trace.axes(result), strict=True):
        trace.tie(one, axis)


def _broadcast(trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], result: Sequence[Tensor]) -> None:
    """All results have the same sizes."""
    del args, kwargs
    for columns in zip(*(trace.axes(tensor) for tensor in result), strict=True):
        trace.tie(*columns)


_MEASURES: dict[str, Callable[..., None]] = {
    "unflatten": _flatten,
    "layer_norm": _layer_norm,
    "rms_norm": _layer_norm,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _chunk,
    "__getitem__": _index,
    "__setitem__": _index,
    "narrow": _narrow,
    "pad": _pad,
    "arange": _arange,
    "repeat": _repeat,
    **dict.fromkeys(("expand_as", "view_as", "reshape_as"), _like),
    "broadcast_tensors": _broadcast,
}

_ARITHMETIC = frozenset(
    f"{prefix}{name}{suffix}"
    for name in ("add", "sub", "mul", "div", "true_divide", "pow", "floor_divide", "rsub", "addcmul", "addcdiv")
    for prefix, suffix in (("", ""), ("", "_"), ("__", "__"), ("__r", "__"), ("__i", "__"))
) | {"__truediv__", "__rtruediv__", "__itruediv__", "fill_", "clamp"}
_MAKERS = frozenset({"tensor", "as_tensor", "full", "full_like", "scalar_tensor"})
