"""What a network takes, and upper bounds on it.

Parameters, nonzeros, bytes and multiply-accumulates are counted; latency and memory are measured, on this
machine and on the input given. No field is derived from another: a tenth of the multiply-accumulates is not
called ten times as fast until the clock says so.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gossamer import storage
from gossamer.counting import Profile, count_macs, evaluating
from gossamer.errors import SettingError, unknown
from gossamer.graph import Graph
from gossamer.settings import Settings, bounded
from gossamer.timing import Timing, against, interleaved, using_threads

PYTORCH = "PyTorch"  # what `measure` times
_SHORT = {"latency": "latency_ms", "memory": "peak_memory_bytes"}
_TIMES = {"": 1.0, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}  # milliseconds
_SIZES = {
    "": 1.0,
    "K": 1e3,
    **{letter: 1000.0**power for power, letter in enumerate("kMGT", start=1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", start=1)},
    "ki": 1024.0,
}

__all__ = ["Budget", "Cost", "Profile", "count_macs", "distinct", "graph_bytes", "identity", "measure", "time_call"]


@runtime_checkable
class _Coded(Protocol):
    """A module whose weights are codes in its buffers."""

    def weight_counts(self) -> tuple[int, int]:
        """Returns how many weights there are, and how many of them are not zero."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network takes.

    Attributes:
        parameters: Weights that are stored, zeros included; a parameter shared by two modules counts once, and weights
            that are stored as codes of a few bits count one by one.
        nonzeros: Those of them that are not zero.
        bytes: The state dict (parameters and persistent buffers) as `storage` stores it in a file; tensors
            that share memory count once.
        macs: Multiply-accumulates that really run in one call on the example.
        training_macs: Those of the training that made the network, if known.
        latency_ms: Median time of one call on the example, by what `runs_on` names.
        latency_spread_ms: Interquartile range of those times.
        runs_on: What was timed for `latency_ms`: "engine" (`gossamer.deploy.compile`), "engine with PyTorch" (where
            some operators have no kernel), "accelerated PyTorch" (`gossamer.deploy.accelerate`) or "PyTorch".
        eager_latency_ms: Median time of one call of the network as it is in PyTorch.
        compiled_latency_ms: The same under `torch.compile`, which is measured only where that was asked for.
        peak_memory_bytes: Parameters and buffers as they lie in memory, plus the most that tensors made
            during one call take at one time; the example itself is not counted.
        graph_bytes: The edges of the example as they lie in memory, weights included; None where it has none.
    """

    parameters: int
    nonzeros: int
    bytes: int
    macs: int
    training_macs: float | None = None
    latency_ms: float | None = None
    latency_spread_ms: float | None = None
    runs_on: str | None = None
    eager_latency_ms: float | None = None
    compiled_latency_ms: float | None = None
    peak_memory_bytes: int | None = None
    graph_bytes: int | None = None

    def ratio(self, other: Cost) -> dict[str, float]:
        """Returns this cost over another's, by field of numbers, where both are known and the other is not zero."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "runs_on"]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return {name: mine / its for name, (mine, its) in pairs.items() if mine is not None and its}

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object of all fields; what is not known is null."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Cost:
        """Makes a cost from what `to_json` returned.

        Raises:
            SettingError: An unknown field (with the nearest one) or a missing one.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for key in value:
            if key not in fields:
                raise SettingError(unknown("field of a cost", key, fields))
        missing = [name for name, f in fields.items() if f.default is dataclasses.MISSING and name not in value]
        if missing:
            raise SettingError(f"cost: {', '.join(missing)} missing; expected every counted field")
        return cls(**value)


@dataclass(frozen=True, kw_only=True)
class Budget(Settings):
    """Upper bounds on any fields of `Cost`; None is no bound."""

    parameters: float | None = bounded(None, ge=0)
    nonzeros: float | None = bounded(None, ge=0)
    bytes: float | None = bounded(None, ge=0)
    macs: float | None = bounded(None, ge=0)
    training_macs: float | None = bounded(None, ge=0)
    latency_ms: float | None = bounded(None, ge=0)
    peak_memory_bytes: float | None = bounded(None, ge=0)
    graph_bytes: float | None = bounded(None, ge=0)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads bounds such as `latency<=2ms,bytes<=100k`.

        `latency` is short for latency_ms and `memory` for peak_memory_bytes. Units: us, ms and s of time, without one
        milliseconds; B of memory, which may be left out. Prefixes: k (or K), M, G and T are powers of 1000; Ki, Mi, Gi
        and Ti powers of 1024.

        Raises:
            SettingError: An unknown field (with the nearest one), a field twice, not a number, or a unit of something
                else.

        >>> Budget.parse("latency<=2ms, bytes<=100k").bounds()
        {'bytes': 100000.0, 'latency_ms': 2.0}
        """
        bounds: dict[str, float] = {}
        fields = [field.name for field in dataclasses.fields(cls)]
        for part in text.split(","):
            match = re.fullmatch(r"\s*(\w+)\s*<=?\s*([-+.\deE]*[-+.\d])\s*([A-Za-zµ]*)\s*", part)
            if match is None:
                raise SettingError(f"budget: cannot read {part.strip()!r}; expected field<=number, as in bytes<=100k")
            name, number, unit = match.groups()
            name = _SHORT.get(name, name)
            if name not in fields:
                raise SettingError(unknown("field of a budget", name, fields))
            if name in bounds:
                raise SettingError(f"budget: {name} is bounded twice in {text!r}; give one bound")
            bounds[name] = _number(number, part) * _scale(name, unit, part)
        return cls(**bounds)

    def __str__(self) -> str:
        """The bounds as `parse` reads them."""
        return ",".join(f"{name}<={repr(bound).removesuffix('.0')}" for name, bound in self.bounds().items())

    def bounds(self) -> dict[str, float]:
        """Returns the bounds that there are, by field."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def met_by(self, cost: Cost) -> bool:
        """Says whether `cost` keeps every bound; raises as `excess` does."""
        return not self.violations(cost)

    def violations(self, cost: Cost) -> dict[str, tuple[float, float]]:
        """Returns (found, bound) for every bound that `cost` exceeds; raises as `excess` does."""
        return {name: (found, bound) for name, found, bound in self._pairs(cost) if found > bound}

    def excess(self, cost: Cost) -> float:
        """Returns the largest relative overshoot, found / bound - 1: at most 0 if the budget is met.

        Without bounds it is -1, as for a cost of nothing.

        Raises:
            SettingError: A bounded field of `cost` was not measured.
        """
        ratios = [found / bound if bound else (float("inf") if found else 0.0) for _, found, bound in self._pairs(cost)]
        return max(ratios, default=0.0) - 1.0

    def _pairs(self, cost: Cost) -> list[tuple[str, float, float]]:
        pairs = []
        for name, bound in self.bounds().items():
            found = getattr(cost, name)
            if found is None:
                raise SettingError(f"budget: bounds {name}, which was not measured; measure it or drop the bound")
            pairs.append((name, float(found), bound))
        return pairs


def measure(
    model: nn.Module,
    example: tuple[Any, ...],
    *,
    latency: bool = True,
    repeats: int = 100,
    seconds: float = 1.0,
    threads: int | None = None,
    training_macs: float | None = None,
    budget: Budget | None = None,
) -> Cost:
    """Returns what `model` takes on `example` in PyTorch; it and the number of threads are left as they were.

    `gossamer.deploy.measure_deployed` times it as it would be deployed.

    Args:
        model: Any module; it runs in eval mode, without gradients.
        example: Its positional arguments, at the batch size and on the device that count.
        latency: Whether to time it; counting alone runs the network once.
        repeats: Most calls to time, at least 1.
        seconds: Timing stops after this long, but not before 5 calls (or `repeats`, if fewer).
        threads: Threads for the timing; None keeps PyTorch's setting.
        training_macs: Passed on to the result.
        budget: Where it bounds the latency, timing goes on until it is clear whether the bound is kept, or for a few
            seconds (`timing.against`); `repeats` and `seconds` then have no say.
    """
    profile = count_macs(model, example)
    parameters = list(model.parameters())
    resident = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in [*parameters, *model.buffers()]
        if tensor.layout == torch.strided
    }
    coded = [module.weight_counts() for module in model.modules() if isinstance(module, _Coded)]
    timing = None
    if latency:
        with evaluating(model), torch.no_grad(), using_threads(threads):
            timing = time_call(lambda: model(*example), repeats=repeats, seconds=seconds, budget=budget)
    return Cost(
        parameters=sum(parameter.numel() for parameter in parameters) + sum(count for count, _ in coded),
        nonzeros=sum(int(torch.count_nonzero(parameter)) for parameter in parameters) + sum(kept for _, kept in coded),
        bytes=sum(storage.stored_bytes(tensor) for tensor in distinct(model.state_dict()).values()),
        macs=profile.total,
        training_macs=training_macs,
        latency_ms=timing.median_ms if timing else None,
        latency_spread_ms=timing.spread_ms if timing else None,
        runs_on=PYTORCH if timing else None,
        eager_latency_ms=timing.median_ms if timing else None,
        peak_memory_bytes=sum(resident.values()) + profile.peak_bytes,
        graph_bytes=graph_bytes(example),
    )


def time_call(
    call: Callable[[], Any], *, repeats: int = 100, seconds: float = 1.0, budget: Budget | None = None
) -> Timing:
    """Times a call as `measure` times a network, with the same arguments."""
    if budget is not None and budget.latency_ms is not None:
        return against(call, budget.latency_ms)
    return interleaved({"call": call}, repeats=repeats, seconds=seconds)["call"]


def graph_bytes(example: tuple[Any, ...]) -> int | None:
    """Returns the bytes of the edges in a network's arguments, or None where there are none.

    Edges are those of a `Graph`, or an edge_index, (2, E) integers, with the (E,) floats that follow it as weights.
    """
    parts: list[Tensor] = []
    edges = None
    for argument in example:
        if isinstance(argument, Graph):
            adjacency = argument.adjacency
            parts += [adjacency.indptr, adjacency.indices, *([] if adjacency.values is None else [adjacency.values])]
        elif isinstance(argument, Tensor) and argument.layout == torch.strided:
            if argument.dim() == 2 and argument.shape[0] == 2 and not argument.dtype.is_floating_point:
                edges = argument.shape[1]
                parts.append(argument)
            elif edges is not None and argument.shape == (edges,) and argument.dtype.is_floating_point:
                parts.append(argument)
    return sum(part.numel() * part.element_size() for part in parts) if parts else None


def distinct(state: dict[str, Any]) -> dict[str, Tensor]:
    """Returns the tensors of a state dict without those that are another one under a second name."""
    found: dict[Any, tuple[str, Tensor]] = {}
    for name, tensor in state.items():
        if isinstance(tensor, Tensor):
            found.setdefault(identity(tensor) or name, (name, tensor))
    return dict(found.values())


def identity(tensor: Tensor) -> tuple[Any, ...] | None:
    """Returns what two tensors have in common only if they are the same memory read the same way, or None."""
    if tensor.layout != torch.strided or tensor.numel() == 0:
        return None
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingError(
            f"budget: {text!r} in {part.strip()!r} is not a number; write it as in bytes<=100k"
        ) from None


def _scale(name: str, unit: str, part: str) -> float:
    """Returns how many of the field's own unit one of `unit` is."""
    units = _TIMES if name == "latency_ms" else _SIZES
    if name.endswith("bytes") and unit.endswith("B"):
        unit = unit.removesuffix("B")
    if unit not in units:
        wanted = "us, ms or s" if units is _TIMES else "a prefix such as k, M or Ki"
        raise SettingError(f"budget: {unit!r} in {part.strip()!r} is no unit of {name}; expected {wanted}, or nothing")
    return units[unit]
