"""Normalisations: weights lie along what they scale; what is averaged over is averaged over the units kept."""

from __future__ import annotations

from gossamer.structure.axes import Axis, factorise
from gossamer.structure.rules.table import Axes, Call, rule


@rule("native_layer_norm", "layer_norm", "rms_norm", "_fused_rms_norm")
def layer_norm(call: Call) -> list[Axes] | Axes:
    """Over the last dimensions."""
    axes = call.axes("input")
    count = len(call["normalized_shape"])
    for name in ("weight", "bias"):
        if call.get(name) is not None:
            for one, other in zip(axes[-count:], call.axes(name), strict=True):
                call.tie(one, other)
    for axis in axes[-count:]:
        axis.consume()
    call.trace.normalised.append((call.name, axes))
    if not isinstance(call.out, list | tuple):
        return axes
    scalars = (*axes[:-count], *(Axis(1) for _ in range(count)))
    return [axes, *(scalars for _ in call.out[1:])]


@rule("native_group_norm")
def group_norm(call: Call) -> list[Axes]:
    """Over each group of channels and all places."""
    axes = call.axes("input")
    groups, channels = call["group"], axes[1]
    group, _each = factorise(channels, groups, channels.size // groups)
    for name in ("weight", "bias"):
        if call.get(name) is not None:
            call.tie(channels, call.axes(name)[0])
    call.trace.measure(call.trace.arguments.get("groups", groups), group)
    for axis in axes[1:]:
        axis.consume()
    call.trace.normalised.append((call.name, axes))
    return [axes, (axes[0], group), (axes[0], group)]


_BATCH = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")


@rule(*_BATCH, "_batch_norm_no_update", "_batch_norm_with_update", "cudnn_batch_norm", "batch_norm")
def batch_norm(call: Call) -> list[Axes] | Axes:
    """Over all dimensions but the second, by statistics of the batch or stored ones."""
    axes = call.axes("input")
    for name in ("weight", "bias", "running_mean", "running_var"):
        if call.get(name) is not None:
            call.tie(axes[1], call.axes(name)[0])
    axes[1].consume()  # what it holds is used by the layers behind; a scale alone is never all there is
    if call.get("training", False):
        call.trace.normalised.append((call.name, axes))
        for axis in axes:
            axis.consume()
    if not isinstance(call.out, list | tuple):
        return axes
    return [
        axes,
        *(
            (axes[1],) if item.dim() == 1 and item.numel() == axes[1].size else tuple(map(Axis, item.shape))
            for item in call.out[1:]
        ),
    ]


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(call: Call) -> list[Axes] | Axes:
    """The weight v · g / ‖v‖, the norm over all dimensions but one."""
    axes = call.axes("v")
    for one, other in zip(axes, call.axes("g"), strict=True):
        if one.size == other.size:
            call.tie(one, other)
    return [axes, call.axes("g")] if isinstance(call.out, list | tuple) else axes
