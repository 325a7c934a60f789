"""The costs that networks are compared by: what each is called, how it is written, how a ratio of it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gossamer import units

SAMPLED = frozenset(  # every other cost is counted
    {"latency_ms", "latency_spread_ms", "eager_latency_ms", "compiled_latency_ms", "peak_memory_bytes"}
)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A cost: its field in `Cost`, its title, how it is written, and how less and more of it read after a factor.

    One that most methods leave alone is shown only where it differs between networks. One that stands beside another is
    in tables and has no chart on the page.
    """

    key: str
    title: str
    write: Callable[[float], str]
    fewer: str
    more: str
    if_it_differs: bool = False
    beside: bool = False

    @property
    def measured(self) -> bool:
        """Whether it is measured rather than counted."""
        return self.key in SAMPLED


def _bytes(value: float) -> str:
    return units.count(value, "B")


AXES = (
    Axis(key="bytes", title="Stored size", write=_bytes, fewer="fewer bytes", more="more bytes"),
    Axis(
        key="macs",
        title="Multiply-accumulates",
        write=units.count,
        fewer="fewer multiply-accumulates",
        more="more multiply-accumulates",
    ),
    Axis(key="latency_ms", title="Latency", write=units.milliseconds, fewer="faster", more="slower"),
    Axis(
        key="eager_latency_ms",
        title="Latency in eager PyTorch",
        write=units.milliseconds,
        fewer="faster in PyTorch",
        more="slower in PyTorch",
        beside=True,
    ),
    Axis(
        key="compiled_latency_ms",
        title="Latency under torch.compile",
        write=units.milliseconds,
        fewer="faster under torch.compile",
        more="slower under torch.compile",
        beside=True,
    ),
    Axis(
        key="nonzeros",
        title="Nonzero parameters",
        write=units.count,
        fewer="fewer nonzeros",
        more="more nonzeros",
    ),
    Axis(
        key="training_macs",
        title="Training multiply-accumulates",
        write=units.count,
        fewer="cheaper training",
        more="costlier training",
    ),
    Axis(
        key="graph_bytes",
        title="Graph size",
        write=_bytes,
        fewer="fewer bytes of edges",
        more="more bytes of edges",
        if_it_differs=True,
    ),
    Axis(key="peak_memory_bytes", title="Peak memory", write=_bytes, fewer="less memory", more="more memory"),
)


def axis(key: str) -> Axis:
    """Returns the axis of a field of `Cost`; one that has no title of its own is called by its name."""
    known = next((found for found in AXES if found.key == key), None)
    return known or Axis(key=key, title=key, write=units.count, fewer=f"less {key}", more=f"more {key}")


def change(of: Axis, ratio: float) -> str:
    """Returns a cost's ratio, dense over compressed, in words.

    >>> change(AXES[0], 9.12), change(AXES[2], 0.8), change(AXES[2], 1.01)
    ('9.1× fewer bytes', '1.2× slower', 'the same latency')
    """
    if 0.95 < ratio < 1.05:  # as good as it rounds to
        return f"the same {of.title.lower()}"
    return f"{units.factor(ratio)} {of.fewer}" if ratio > 1 else f"{units.factor(1 / ratio)} {of.more}"
