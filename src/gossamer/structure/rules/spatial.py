"""Operators on places: channels pass, places are fixed."""

from __future__ import annotations

from torch import Tensor

from gossamer.structure.axes import factorise, product
from gossamer.structure.rules.table import PLACE, Axes, Call, rule

_POOLS = (
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
    *("adaptive_avg_pool2d", "adaptive_avg_pool3d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
    *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "upsample_linear1d", "upsample_bilinear2d"),
    *("upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    *("reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d"),
    *("replication_pad3d", "max_pool1d", "max_pool2d", "max_pool3d", "grid_sampler_2d", "grid_sampler_3d"),
    *("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool1d", "adaptive_max_pool2d"),
    *("adaptive_max_pool3d", "max_unpool2d", "fractional_max_pool2d", "mkldnn_max_pool2d"),
)
_PLACES = {"1d": 1, "2d": 2, "3d": 3}


@rule(*_POOLS)
def pool(call: Call) -> list[Axes] | Axes:
    """The last dimensions are places; the others pass."""
    source = call.first("self", "input")
    axes = call.axes(source)
    count = next(count for ending, count in _PLACES.items() if ending in call.name)
    for axis in axes[-count:]:
        axis.freeze(PLACE)

    def of(item: Tensor) -> Axes:
        return (*axes[:-count], *(call.fresh(size, PLACE) for size in item.shape[-count:]))

    return [of(item) for item in call.out] if isinstance(call.out, list | tuple) else of(call.out)


@rule("im2col")
def im2col(call: Call) -> Axes:
    """(N, C, H, W) to (N, C · k, L)."""
    axes = call.axes("self")
    channels, kernel = axes[-3], call.out.shape[-2] // axes[-3].size
    call.trace.freeze(axes[-2:], PLACE)
    return (*axes[:-3], product(channels, call.fresh(kernel, PLACE)), call.fresh(call.out.shape[-1], PLACE))


@rule("col2im")
def col2im(call: Call) -> Axes:
    """(N, C · k, L) to (N, C, H, W)."""
    axes = call.axes("self")
    channels = call.out.shape[-3]
    kept, inner = factorise(axes[-2], channels, axes[-2].size // channels)
    call.trace.freeze((inner, axes[-1]), PLACE)
    places = (call.fresh(size, PLACE) for size in call.out.shape[-2:])
    return (*axes[:-2], kept, *places)
