"""Chooses, for each graph layer of PyTorch Geometric, between it and this library's layer that computes the same.

The network runs once on the example, and each graph layer keeps what it was really called with. Its stand-in is made,
checked against it on those inputs, and timed in turns with it; it takes the layer's place only if it is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from gossamer.counting import tensors_in
from gossamer.deploy.choice import Choice
from gossamer.deploy.compare import faster, ratio, same_outputs
from gossamer.errors import GossamerError
from gossamer.nn.pyg import Adopted, adopt, kind_of
from gossamer.timing import interleaved

GRAPH = "graph"  # the name by which choices and reports know this library's graph layers
_REPEATS = 30
_SECONDS = 0.5

Call = tuple[tuple[Any, ...], dict[str, Any]]


def graph_layer_choices(model: nn.Module, example: tuple[Any, ...], minimum_gain: float) -> Iterator[Choice]:
    """Yields one choice for each graph layer of `model` that this library knows, in the order of its modules.

    Args:
        model: In eval mode; run under `torch.no_grad`.
        example: Its positional arguments.
        minimum_gain: How many times as fast a stand-in must be.
    """
    layers = {name: module for name, module in model.named_modules() if kind_of(module) is not None}
    if not layers:
        return
    calls = _record(model, layers, example)
    for name, layer in layers.items():
        yield _choose(name, layer, calls[name], minimum_gain)


def _record(model: nn.Module, layers: dict[str, nn.Module], example: tuple[Any, ...]) -> dict[str, list[Call]]:
    calls: dict[str, list[Call]] = {name: [] for name in layers}
    handles = []
    for name, layer in layers.items():

        def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
            calls[name].append((args, kwargs))

        handles.append(layer.register_forward_pre_hook(note, with_kwargs=True))
    try:
        model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _choose(name: str, layer: nn.Module, calls: list[Call], minimum_gain: float) -> Choice:
    kept = Choice(
        layer=name,
        kind=type(layer).__name__,
        shape=(),
        parameters=0,
        nonzeros=0,
        kernel="dense",
        reason="",
        candidates={},
    )
    if not calls:
        return replace(kept, reason="left as it is: it is not called on the example")
    if layer._forward_hooks or layer._forward_pre_hooks:
        return replace(kept, reason="left as it is: it has hooks, which a swap would lose")
    try:
        adopted = adopt(layer)
        agrees = all(_agrees(adopted, layer, call) for call in calls)
    except (GossamerError, TypeError) as error:  # a setting or an input that it does not follow
        return replace(kept, reason=f"left as it is: {error}")
    if not agrees:
        return replace(kept, reason="left as it is: the outputs differ by more than rounding")
    times = interleaved(
        {"dense": _calling(layer, calls), GRAPH: _calling(adopted, calls)}, repeats=_REPEATS, seconds=_SECONDS
    )
    before, after = times["dense"], times[GRAPH]
    gain = before.quick_ms / after.quick_ms
    if faster(after, before, minimum_gain):
        chosen, reason = GRAPH, f"{GRAPH} chosen: {ratio(gain)}"
    else:
        note = f", within noise or the margin of {minimum_gain:g}x" if gain > 1 else ""
        chosen, reason = "dense", f"left as it is: {GRAPH} {ratio(gain)}{note}"
    return replace(
        kept,
        kernel=chosen,
        reason=reason,
        dense_ms=before.quick_ms,
        kernel_ms=after.quick_ms,
        candidates={GRAPH: after.quick_ms},
    )


def _agrees(adopted: Adopted, layer: nn.Module, call: Call) -> bool:
    args, kwargs = call
    return same_outputs(list(tensors_in(adopted(*args, **kwargs))), list(tensors_in(layer(*args, **kwargs))))


def _calling(layer: nn.Module, calls: list[Call]) -> Callable[[], list[Any]]:
    return lambda: [layer(*args, **kwargs) for args, kwargs in calls]
