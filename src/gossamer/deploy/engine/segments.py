"""Cuts a graph into stretches that run natively in one call each, and PyTorch steps between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from gossamer.deploy.engine.graph import Graph, Step, Value


@dataclass(eq=False)
class Segment:
    """Steps in a row, all native or one PyTorch step, with what they take and what others need of them."""

    native: bool
    steps: list[Step]
    inputs: list[Value]
    outputs: list[Value]


Unit = tuple[Step, ...]
"""Steps that write to the same memory, in order: they stay together."""


def segments(graph: Graph, edges: Collection[Value] = ()) -> tuple[list[Segment], int]:
    """Returns the stretches of a graph in order, and how many of the first depend on nothing but `edges` and sizes.

    PyTorch steps are pulled forward where nothing keeps them back.
    """
    units = _units(graph)
    early = _of_edges(units, edges)
    found: list[Segment] = []
    count = 0
    for some in (early, [unit for unit in units if unit not in early]):
        count = len(found)
        for unit in _gathered(some):
            if found[count:] and _native(unit) and found[-1].native:
                found[-1].steps += unit
            else:
                found.append(Segment(_native(unit), [*unit], [], []))
    for place, segment in enumerate(found):
        written = {value.root for step in segment.steps for value in step.outputs}
        read = dict.fromkeys(value.root for step in segment.steps for value in step.inputs if value is not None)
        segment.inputs = [value for value in read if value not in written and value.kind != "constant"]
        later = {
            value.root
            for other in found[place + 1 :]
            for step in other.steps
            for value in step.inputs
            if value is not None
        }
        wanted = dict.fromkeys(value.root for step in segment.steps for value in step.outputs)
        segment.outputs = [value for value in wanted if value in later or value in graph.outputs]
        segment.inputs += _carriers(segment, graph)
    return found, count


def _native(unit: Unit) -> bool:
    return unit[0].what != "torch"


def _units(graph: Graph) -> list[Unit]:
    """Returns the steps, those that write to the same memory together, where the last of them stood."""
    writers = graph.writers()
    found: list[Unit] = []
    for step in graph.steps:
        together = writers[step.outputs[0].root]
        if step is together[-1]:
            found.append(tuple(together))
    return found


def _of_edges(units: Sequence[Unit], edges: Collection[Value]) -> list[Unit]:
    """Returns what reads nothing but edges, sizes, constants and what such steps have written."""
    known = set(edges)
    found = []
    for unit in units:
        read = {value.root for step in unit for value in step.inputs if value is not None}
        read = {value for value in read if value.kind != "constant"}
        if read <= known:
            found.append(unit)
            known |= {value.root for step in unit for value in step.outputs}
    return found


def _carriers(segment: Segment, graph: Graph) -> list[Value]:
    """Returns inputs of the network that a stretch does not read, but whose sizes its own depend on."""
    if not segment.native:
        return []
    given = {size for value in segment.inputs for size in value.size if not isinstance(size, int)}
    needed: dict[Any, None] = {}
    for step in segment.steps:
        for value in (*step.inputs, *step.outputs):
            if value is not None:
                for size in (*value.size, *value.root.size, value.offset, *value.stride):
                    if not isinstance(size, int) and size not in given:
                        needed.update(dict.fromkeys(sorted(size.free_symbols - given, key=str)))
    found: list[Value] = []
    for symbol in needed:
        carrier = next((value for value in graph.inputs if symbol in value.size), None)
        if carrier is not None and carrier not in (*segment.inputs, *found):
            found.append(carrier)
    return found


def _gathered(units: Sequence[Unit]) -> list[Unit]:
    """Returns steps in an order with few changes between native and PyTorch ones."""
    if all(_native(unit) for unit in units):
        return list(units)
    after, missing = _order(units)
    ready = [unit for unit in units if not missing[unit]]
    ordered: list[Unit] = []
    native = False
    while ready:
        unit = next((one for one in ready if _native(one) == native), ready[0])
        native = _native(unit)
        ready.remove(unit)
        ordered.append(unit)
        for later in after[unit]:
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    return ordered


def _order(units: Sequence[Unit]) -> tuple[dict[Unit, list[Unit]], dict[Unit, int]]:
    """Returns what waits for each unit to write what it reads, and for how many each waits."""
    after: dict[Unit, list[Unit]] = {unit: [] for unit in units}
    missing: dict[Unit, int] = {}
    writer = {value.root: unit for unit in units for step in unit for value in step.outputs}
    for unit in units:
        read = {value.root for step in unit for value in step.inputs if value is not None}
        before = dict.fromkeys(writer[root] for root in read if root in writer and writer[root] is not unit)
        for one in before:
            after[one].append(unit)
        missing[unit] = len(before)
    return after, missing
