"""Joins elementwise steps, so that a chain of them reads and writes memory once."""

from __future__ import annotations

import torch

from gossamer.deploy.engine.graph import MOST_INPUTS, MOST_OPERATIONS, Graph, Operation, Step, Value, all_same


def fuse_programs(graph: Graph) -> None:
    """Takes each elementwise step into the one that alone reads its result, where sizes and limits allow."""
    changed = True
    while changed:
        changed = False
        readers = graph.readers()
        for step in list(graph.steps):
            out = step.outputs[0]
            reading = readers.get(out, [])
            if step.what not in ("pointwise", "arithmetic") or out in graph.outputs or len(reading) != 1:
                continue
            joined = _joined(step, reading[0])
            if joined is not None:
                graph.steps[graph.steps.index(reading[0])] = joined
                graph.steps.remove(step)
                changed = True
                break


_EXACT = {"add", "subtract", "multiply", "maximum", "minimum", "keep", "equal", "not_equal"}
_EXACT |= {"less", "less_equal", "greater", "greater_equal"}


def _joined(first: Step, second: Step) -> Step | None:
    """Returns one step that does both; None where they cannot be one."""
    out = first.outputs[0]
    if out.dtype is not torch.float32 and first.program[-1].what not in _EXACT:
        return None  # a conversion, which changes the number
    if second.what != first.what or not all_same(out.size, second.outputs[0].size):
        return None
    if any(value is not out and value is not None and value.root is out for value in second.inputs):
        return None  # it also reads a view
    inputs: list[Value | None] = list(dict.fromkeys([*first.inputs, *(one for one in second.inputs if one is not out)]))
    program: list[Operation] = []
    if len(inputs) > MOST_INPUTS or len(first.program) + len(second.program) > MOST_OPERATIONS:
        return None
    register = {value: place for place, value in enumerate(inputs)}

    def append(step: Step) -> int:
        """Appends a step's operations and returns the register of its result."""
        count, start = len(step.inputs), len(inputs) + len(program)

        def renamed(old: int) -> int:
            return register[step.inputs[old]] if old < count else start + old - count

        program.extend([Operation(one.what, renamed(one.a), renamed(one.b), one.p, one.q) for one in step.program])
        return len(inputs) + len(program) - 1

    register[out] = append(first)
    append(second)
    origin = f"{first.origin} + {second.origin}"
    return second.replace(inputs=inputs, program=program, origin=origin)
