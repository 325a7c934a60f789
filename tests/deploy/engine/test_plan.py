"""Plans: sizes that are expressions, memory that is reused, and damaged words that are refused."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sympy import Symbol
from torch import nn
from torch.utils._sympy.functions import FloorDiv

from gossamer.deploy import compile as compile_network
from gossamer.deploy.engine.graph import Graph, Operation, Step, Value, contiguous_strides
from gossamer.deploy.engine.passes import drop_dead
from gossamer.deploy.engine.segments import segments
from gossamer.deploy.engine.words import encode
from gossamer.errors import ModelError
from gossamer.kernels import native

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")

N = Symbol("n", integer=True, positive=True)


def chain(length: int, size: tuple[int, ...] = (64,)) -> Graph:
    """x + 1, then + 1, and so on."""
    values = [Value("input", size), *(Value("result", size) for _ in range(length))]
    steps = [
        Step("pointwise", [before], [after], program=[Operation("affine", 0, 0, 1.0, 1.0)])
        for before, after in pairwise(values)
    ]
    return Graph([values[0]], [values[-1]], steps)


def engine_of(graph: Graph, words: list[int] | None = None) -> object:
    module = native.kernels()
    assert module is not None
    written, constants = encode(graph.inputs, graph.outputs, graph.steps)
    return module.Engine(words or written, [one.data_ptr() for one in constants], [one.nbytes for one in constants], 1)


@settings(deadline=None)
@given(st.integers(1, 1000))
def test_sizes_are_worked_out_as_python_does(n: int) -> None:
    size = FloorDiv(3 * N + 7, 2) * N - N
    x, out = Value("input", (N,)), Value("result", (size,))
    one = Value("constant", (1,), data=torch.ones(1))
    view = Value("view", (size,), of=one, stride=(0,))
    engine = engine_of(Graph([x], [out], [Step("copy", [view], [out])]))
    instance = engine.instance([[n]])  # type: ignore[attr-defined]
    assert engine.output_size(instance, 0) == [(3 * n + 7) // 2 * n - n]  # type: ignore[attr-defined]


def test_memory_is_reused() -> None:
    engine = engine_of(chain(20, (1000,)))
    instance = engine.instance([[1000]])  # type: ignore[attr-defined]
    assert instance.arena_bytes <= 2 * 4096, "a chain needs two buffers, however long it is"


def test_dead_steps_are_dropped() -> None:
    graph = chain(3)
    graph.steps.append(Step("softmax", [graph.outputs[0]], [Value("result", (64,))]))
    drop_dead(graph)
    assert len(graph.steps) == 3


def test_a_size_that_no_input_has_is_named() -> None:
    value, out = Value("input", (4,)), Value("result", (N,))
    with pytest.raises(ModelError, match="a size depends on n"):
        encode([value], [out], [Step("copy", [value], [out])])


def test_stretches_between_torch_steps() -> None:
    x, a, b, c, d = Value("input", (4,)), *(Value("result", (4,)) for _ in range(4))
    plus = [Operation("affine", 0, 0, 1.0, 1.0)]
    steps = [
        Step("pointwise", [x], [a], program=plus),
        Step("torch", [x], [b], call=lambda tensors, _: [tensors[0]]),
        Step("pointwise", [a], [c], program=plus),
        Step("pointwise", [b, c], [d], program=[Operation("add", 0, 1)]),
    ]
    found, early = segments(Graph([x], [d], steps))
    assert early == 0
    assert [(one.native, len(one.steps)) for one in found] == [(False, 1), (True, 3)]
    assert found[1].inputs == [x, b]
    assert found[1].outputs == [d]


def test_strides() -> None:
    assert contiguous_strides((2, N, 3)) == (3 * N, 3, 1)
    assert Value("input", (2, N, 3)).contiguous


PLAIN = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4), nn.Softmax(1))


@cache
def plain_plan() -> tuple[list[int], list[torch.Tensor]]:
    run = compile_network(PLAIN.eval(), (torch.zeros(1, 2, 8, 8),), threads=1)._runs[0]
    return encode(run.segment.inputs, run.segment.outputs, run.segment.steps)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_plans_are_refused_or_harmless(data: st.DataObject) -> None:
    """A plan in which any words are wrong gives an error, or runs within its own memory."""
    module = native.kernels()
    assert module is not None
    words, constants = plain_plan()
    words = list(words)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place] = data.draw(st.one_of(st.integers(-3, 40), st.integers(-(2**63), 2**63 - 1)))
    words = words[: data.draw(st.integers(len(words) - 2, len(words)))]
    addresses, sizes = [one.data_ptr() for one in constants], [one.nbytes for one in constants]
    try:
        engine = module.Engine(words, addresses, sizes, 1)
        instance = engine.instance([[1, 2, 8, 8]])
        size = engine.output_size(instance, 0)
        if instance.arena_bytes > 1 << 26 or torch.Size(size).numel() > 1 << 20:
            return
        out = torch.empty(size)
        engine.run(instance, [torch.zeros(1, 2, 8, 8).data_ptr()], [out.data_ptr()])
    except (ValueError, IndexError):  # the latter where it has no output
        return
