"""LSTM, GRU and plain recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.fx import Node

from gossamer.deploy.engine.builder import Builder
from gossamer.deploy.engine.graph import Step, Value
from gossamer.deploy.engine.rules.layers import floats
from gossamer.deploy.engine.rules.table import rule

_CELLS = ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")  # in the order of the native `Cell`


@rule("gossamer.recurrent.default")
def recurrent(
    b: Builder,
    node: Node,
    x: Value,
    first: Sequence[Value],
    weights: Sequence[Value],
    kind: str,
    biases: bool,
    layers: int,
    both: bool,
    batch_first: bool,
) -> list[Value]:
    """Layers over time, each of one or two directions; an LSTM has a memory beside its state."""
    del node
    directions, each = (2 if both else 1), (4 if biases else 2)
    x = _turned(b, x) if batch_first else x
    last: list[list[Value]] = [[] for _ in first]
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            own = [floats(one) for one in weights[place * each : (place + 1) * each]]
            given = [_entry(b, one, place) for one in first]
            states = _direction(b, x, own, given, _CELLS.index(kind), backwards=direction == 1)
            outputs.append(states[0])
            for some, one in zip(last, states[1:], strict=True):
                some.append(one)
        x = outputs[0] if directions == 1 else _joined(b, outputs, axis=2)
    ends = [_joined(b, [b.view(one, (1, *one.size), (1, *one.strides)) for one in some], axis=0) for some in last]
    return [_turned(b, x) if batch_first else x, *ends]


def _direction(
    b: Builder, x: Value, weights: Sequence[Tensor], first: Sequence[Value], cell: int, *, backwards: bool
) -> list[Value]:
    """Appends one layer in one direction; returns its states over time, the last one and an LSTM's last memory."""
    times, batch = x.size[:2]
    inner, outer = weights[0], weights[1]
    gates = b.result((times, batch, len(inner)))
    b.add(Step("linear", [b.contiguous(x)], [gates], weight=inner, bias=weights[2] if len(weights) > 2 else None))
    width = outer.shape[1]
    outputs = [b.result((times, batch, width)), *(b.result((batch, width)) for _ in first)]
    inputs: list[Value | None] = [gates, *(b.contiguous(one) for one in first)]
    bias = weights[3] if len(weights) > 3 else None
    b.add(Step("recurrent", inputs, outputs, sizes=[cell, int(backwards)], weight=outer, bias=bias))
    return outputs


def _entry(b: Builder, states: Value, place: int) -> Value:
    return b.view(states, states.size[1:], states.strides[1:], place * states.strides[0])


def _turned(b: Builder, x: Value) -> Value:
    size, strides = x.size, x.strides
    return b.view(x, (size[1], size[0], *size[2:]), (strides[1], strides[0], *strides[2:]))


def _joined(b: Builder, parts: Sequence[Value], axis: int) -> Value:
    if len(parts) == 1:
        return parts[0]
    size = [*parts[0].size]
    size[axis] = sum(part.size[axis] for part in parts)
    out = b.result(size)
    at = 0
    for part in parts:
        b.add(Step("copy", [part], [b.view(out, part.size, out.strides, at * out.strides[axis])]))
        at = at + part.size[axis]
    return out
