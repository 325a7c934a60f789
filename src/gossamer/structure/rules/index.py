"""Operators that look positions up: those dimensions are fixed, the others pass through."""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.structure.axes import Axis
from gossamer.structure.rules.table import Axes, Call, rule


def _looked_up(call: Call, axis: Axis) -> None:
    axis.freeze(f"its positions are looked up by number in {call.trace.where}")


@rule("embedding")
def embedding(call: Call) -> Axes:
    """Rows of a table."""
    rows, columns = call.axes("weight")
    _looked_up(call, rows)
    return (*call.axes("indices"), columns)


@rule("_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(call: Call) -> list[Axes]:
    """Sums or means of rows of a table."""
    rows, columns = call.axes("weight")
    _looked_up(call, rows)
    rest = [tuple(map(Axis, item.shape)) for item in call.out[1:]]
    return [(Axis(call.out[0].shape[0]), columns), *rest]


@rule("index_select")
def index_select(call: Call) -> Axes:
    """Positions along one dimension."""
    axes = list(call.axes("self"))
    dim = call["dim"] % max(len(axes), 1)
    _looked_up(call, axes[dim])
    axes[dim] = call.axes("index")[0] if call["index"].dim() else Axis(1)
    return tuple(axes)


@rule("index", "_unsafe_index")
def index(call: Call) -> Axes:
    """Positions along several dimensions at once; see NumPy's rules for where the result has them."""
    axes, indices = call.axes("self"), list(call["indices"])
    passing: list[Axis] = []
    places: list[int] = []
    looked: list[Axes] = []
    dim = 0
    for item in indices:
        if item is None:
            passing.append(axes[dim])
            dim += 1
            continue
        places.append(len(passing))
        width = item.dim() if item.dtype in (torch.bool, torch.uint8) else 1
        for axis in axes[dim : dim + width]:
            _looked_up(call, axis)
        dim += width
        looked.append(call.axes(item) if width == 1 and item.dtype not in (torch.bool, torch.uint8) else (Axis(-1),))
    passing += axes[dim:]
    rank = call.out.dim() - len(passing)
    together = len(set(places)) == 1
    start = places[0] if together else 0
    shape = call.out.shape[start : start + rank]
    new = []
    for back in range(rank, 0, -1):
        over = [one[-back] for one in looked if len(one) >= back and one[-back].size == shape[-back]]
        new.append(call.tie(*over) if over else Axis(shape[-back]))
    return (*passing[:start], *new, *passing[start:])


@rule("gather")
def gather(call: Call) -> Axes:
    """out[i, j] = self[index[i, j], j]: dimensions but one are those of the input."""
    return _beside(call, call.axes("self"), call.axes("index"), call["dim"])


def _beside(call: Call, axes: Axes, index: Axes, dim: int) -> Axes:
    if not axes or not index:
        return index
    _looked_up(call, axes[dim])
    for place, (one, other) in enumerate(zip(axes, index, strict=True)):
        if place == dim % len(axes):
            continue
        if one.size == other.size:
            call.tie(one, other)
        else:
            call.trace.freeze((one, other), f"a part of it is gathered in {call.trace.where}")
    return index


_SCATTERS = ("scatter", "scatter_add", "scatter_reduce", "scatter_reduce_two", "_scatter_reduce_two")


@rule(*_SCATTERS)
def scatter(call: Call) -> Axes:
    """Position self[index[i, j], j] takes src[i, j]."""
    axes, index = call.axes("self"), call.axes("index")
    _beside(call, axes, index, call["dim"])
    source = call.get("src")
    if isinstance(source, Tensor):
        for one, other in zip(index, call.axes(source), strict=True):
            if one.size == other.size:
                call.tie(one, other)
            else:
                call.trace.freeze((one, other), f"a part of it is scattered in {call.trace.where}")
    return axes


@rule("index_add", "index_copy", "index_reduce", "index_fill")
def index_add(call: Call) -> Axes:
    """Position self[index[i], j] takes source[i, j]."""
    axes = call.axes("self")
    dim = call["dim"] % max(len(axes), 1)
    _looked_up(call, axes[dim])
    if isinstance(call.get("source"), Tensor):
        for place, (one, other) in enumerate(zip(axes, call.axes("source"), strict=True)):
            if place != dim:
                call.tie(one, other)
    return axes


@rule("index_put", "_index_put_impl", "_unsafe_index_put")
def index_put(call: Call) -> Axes:
    """What self has at looked-up positions takes values."""
    axes = call.axes("self")
    passing: list[Axis] = []
    dim = 0
    for item in call["indices"]:
        width = 1 if item is None or item.dtype not in (torch.bool, torch.uint8) else item.dim()
        if item is None:
            passing.append(axes[dim])
        else:
            for axis in axes[dim : dim + width]:
                _looked_up(call, axis)
        dim += width
    trailing = axes[dim:]
    values = call.axes("values")
    if passing:
        call.trace.freeze((*passing, *values), f"a part of it is written to in {call.trace.where}")
    for one, other in zip(reversed(trailing), reversed(values), strict=False):
        if one.size == other.size:
            call.tie(one, other)
    return axes


_WHOLE = (
    *(
        "masked_select",
        "nonzero",
        "take",
        "unique_consecutive",
        "_unique2",
        "unique_dim",
        "bincount",
        "histc",
        "one_hot",
    ),
    *("gossamer::sort_coordinates", "gossamer::transpose_csr", "multinomial", "randperm", "_sparse_coo_tensor_unsafe"),
)


@rule(*_WHOLE)
def data_dependent(call: Call) -> list[Axes] | Axes | None:
    """Results whose sizes depend on data."""
    reason = f"{call.name} depends on all its positions in {call.trace.where}"
    for tensor in call.tensors():
        call.trace.freeze(call.axes(tensor), reason)
    return [tuple(call.fresh(size, reason) for size in item.shape) for item in _all(call.out)]


def _all(out: object) -> list[Tensor]:
    return [item for item in (out if isinstance(out, list | tuple) else [out]) if isinstance(item, Tensor)]


@rule("searchsorted")
def searchsorted(call: Call) -> Axes:
    """Places of values among sorted ones."""
    call.trace.freeze(call.axes("sorted_sequence"), f"it is searched in {call.trace.where}")
    return call.axes("self") if isinstance(call.get("self"), Tensor) else tuple(map(Axis, call.out.shape))


@rule("segment_reduce", "_segment_reduce")
def segment_reduce(call: Call) -> Axes:
    """Runs of rows are reduced; features pass."""
    axes = call.axes("data")
    _looked_up(call, axes[0])
    return (call.fresh(call.out.shape[0], "its positions are segments"), *axes[1:])


@rule("masked_scatter")
def masked_scatter(call: Call) -> Axes:
    """Positions under a mask take values in order."""
    reason = f"positions are filled in order in {call.trace.where}"
    for tensor in call.tensors():
        call.trace.freeze(call.axes(tensor), reason)
    return call.axes("self")
