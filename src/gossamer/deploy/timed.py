"""Chooses between a layer and its stand-ins by the clock, on the inputs the layer really got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from gossamer.deploy.choice import Choice
from gossamer.deploy.compare import faster, ratio
from gossamer.timing import interleaved

_REPEATS = 30
_SECONDS = 0.3  # timing stops after this long for one layer


def fastest(
    kept: Choice,
    layer: nn.Module,
    others: Mapping[str, nn.Module],
    inputs: list[Any],
    *,
    minimum_gain: float,
    what: str = "",
) -> Choice:
    """Returns the choice of the fastest of a layer's stand-ins, or of the layer where none is faster by enough.

    Args:
        kept: The choice of the layer itself, without a reason.
        layer: The layer as it is.
        others: Its stand-ins by the name of their kernel, at least one.
        inputs: One an application of the layer.
        minimum_gain: How many times as fast a stand-in must be.
        what: What the reason says of the layer, such as "90% zeros, ".
    """
    times = interleaved(
        {kernel: _calling(module, inputs) for kernel, module in {"dense": layer, **others}.items()},
        repeats=_REPEATS,
        seconds=_SECONDS,
    )
    dense = times.pop("dense")
    best = min(times, key=lambda kernel: times[kernel].quick_ms)
    gain = dense.quick_ms / times[best].quick_ms
    if faster(times[best], dense, minimum_gain):
        chosen, reason = best, f"{best} chosen: {what}{ratio(gain)}"
    else:
        note = f", within noise or the margin of {minimum_gain:g}x" if gain > 1 else ""
        chosen, reason = "dense", f"dense kept: {what}{best} {ratio(gain)}{note}"
    return replace(
        kept,
        kernel=chosen,
        reason=reason,
        dense_ms=dense.quick_ms,
        kernel_ms=times[best].quick_ms,
        candidates={kernel: timing.quick_ms for kernel, timing in times.items()},
    )


def _calling(module: nn.Module, inputs: list[Any]) -> Callable[[], list[Any]]:
    return lambda: [module(x) for x in inputs]
