"""Cuts a graph into stretches that run natively in one call each, and PyTorch steps between them."""

from __future__ import annotations

from dataclasses import dataclass

from gossamer.deploy.engine.graph import Graph, Step, Value


@dataclass(eq=False)
class Segment:
    """Steps in a row, all native or one PyTorch step, with what they take and what others need of them."""

    native: bool
    steps: list[Step]
    inputs: list[Value]
    outputs: list[Value]


def segments(graph: Graph) -> list[Segment]:
    """Returns the stretches of a graph, in order; PyTorch steps are pulled forward where nothing keeps them back."""
    found: list[Segment] = []
    for step in _gathered(graph):
        native = step.what != "torch"
        if found and native and found[-1].native:
            found[-1].steps.append(step)
        else:
            found.append(Segment(native, [step], [], []))
    for place, segment in enumerate(found):
        written = {value.root for step in segment.steps for value in step.outputs}
        read = dict.fromkeys(value.root for step in segment.steps for value in step.inputs if value is not None)
        segment.inputs = [value for value in read if value not in written and value.kind != "constant"]
        later = {
            value.root
            for other in found[place + 1 :]
            for step in other.steps
            for value in (*step.inputs, *step.outputs)
            if value is not None
        }
        wanted = dict.fromkeys(value.root for step in segment.steps for value in step.outputs)
        segment.outputs = [value for value in wanted if value in later or value in graph.outputs]
    return found


def _gathered(graph: Graph) -> list[Step]:
    """Returns the steps in an order with few changes between native and PyTorch ones."""
    if all(step.what != "torch" for step in graph.steps):
        return list(graph.steps)
    after, missing = _order(graph)
    ready = [step for step in graph.steps if not missing[step]]
    ordered: list[Step] = []
    native = False
    while ready:
        step = next((one for one in ready if (one.what != "torch") == native), ready[0])
        native = step.what != "torch"
        ready.remove(step)
        ordered.append(step)
        for later in after[step]:
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    return ordered


def _order(graph: Graph) -> tuple[dict[Step, list[Step]], dict[Step, int]]:
    """Returns the steps that wait for each step, and for how many each waits.

    A step waits for those that write what it reads, and for earlier ones that write to the same memory.
    """
    after: dict[Step, list[Step]] = {step: [] for step in graph.steps}
    missing: dict[Step, int] = {}
    writers: dict[Value, list[Step]] = {}
    for step in graph.steps:
        touched = {value.root for value in (*step.inputs, *step.outputs) if value is not None}
        before = {id(one): one for root in touched for one in writers.get(root, [])}
        for one in before.values():
            after[one].append(step)
        missing[step] = len(before)
        for value in step.outputs:
            writers.setdefault(value.root, []).append(step)
    return after, missing
