"""Images in blocks of channels: every kernel against PyTorch's, and the choice of layouts against all others."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.deploy import compile as compile_network
from gossamer.deploy.engine.graph import Graph, Operation, Step, Value
from gossamer.deploy.engine.kernels import choose_kernels, packed
from gossamer.deploy.engine.passes import choose_layouts, use_blocks
from gossamer.deploy.engine.passes.layouts import images_of
from gossamer.deploy.engine.rules.layers import ungrouped
from gossamer.kernels import native
from tests.deploy.engine.test_operators import run

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")

ISAS = native.instruction_sets()


def convolution(x: Value, kernel: Tensor, setting: dict[str, Any], groups: int = 1, **others: Any) -> Step:
    """A convolution of a value, with padding and stride the same in both directions."""
    stride, padding, dilation = (
        setting.get(name, rest) for name, rest in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    size = F.conv2d(torch.empty(1, *x.size[1:]), kernel, None, stride, padding, dilation, groups).shape
    weight, places = ungrouped(kernel, groups)
    out = Value("result", (x.size[0], *size[1:]))
    sizes = [*kernel.shape[2:], stride, stride, padding, padding, dilation, dilation]
    return Step("convolution", [x, None], [out], sizes=sizes, weight=weight, places=places, **others)


def blocked(graph: Graph, block: int = 16) -> Graph:
    use_blocks(graph, choose_layouts(graph, {}, block)[0], block)
    choose_kernels(graph, {}, 1)
    return graph


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int], dict[str, int], int]:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    taps = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    setting = {
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 2)),
        "dilation": draw(st.integers(1, 2)),
    }
    least = [max(setting["dilation"] * (one - 1) + 1 - 2 * setting["padding"], 1) for one in taps]
    size = [draw(st.integers(one, one + 20)) for one in least]
    channels, outputs = groups * draw(st.integers(1, 20)), groups * draw(st.integers(1, 24))
    return (draw(st.integers(1, 3)), channels, *size), (outputs, channels // groups, *taps), setting, groups


@settings(deadline=None, max_examples=150)
@given(geometries(), st.sampled_from(ISAS), st.sampled_from(["dense", "blocks", "blocks8", "csr"]), st.booleans())
def test_convolutions_of_any_shape(case: Any, isa: str, kernel: str, adds: bool) -> None:
    size, taps, setting, groups = case
    torch.manual_seed(sum(size))
    x, weight, bias = torch.randn(size), torch.randn(taps), torch.randn(taps[0])
    if kernel != "dense":
        weight *= torch.rand(taps) < 0.3
    expected = F.conv2d(x, weight, bias, **setting, groups=groups)
    other = torch.randn_like(expected)
    value, added = Value("input", size), Value("input", tuple(other.shape))
    step = convolution(value, weight, setting, groups, bias=bias, relu=adds, ceiling=2.0 if adds else math.inf)
    if adds:
        step.inputs[1] = added
        expected = (expected + other).clamp(0, 2)
    graph = Graph([value, added], [step.outputs[0]], [step])
    block = 1 if kernel == "csr" else 16
    use_blocks(graph, choose_layouts(graph, {}, block)[0], block)
    with native.force(isa):
        if kernel == "dense" or graph.steps[-2].what == "blocked_depthwise":
            choose_kernels(graph, {}, 1)
        else:
            graph.steps[-2] = packed(graph.steps[-2], kernel, graph.steps[-2].weight != 0)
        found = run(graph, x, other)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1)),
    st.sampled_from(ISAS),
    st.sampled_from([16, 1]),
)
def test_depthwise_convolutions_and_pools(sizes: tuple[int, int, int, int], isa: str, block: int) -> None:
    channels, taps, stride, padding = sizes
    torch.manual_seed(channels)
    x, weight = torch.randn(2, channels, 9, 11), torch.randn(channels, 1, taps, taps)
    value = Value("input", tuple(x.shape))
    first = convolution(value, weight, {"stride": 1, "padding": padding}, channels, relu=True)
    middle = first.outputs[0]
    window = [2, 3, stride, 1, 0, 1]
    expected = F.conv2d(x, weight, None, 1, padding, 1, channels).relu()
    mean, largest = (F.avg_pool2d, F.max_pool2d)
    expected_pools = [pool(expected, window[:2], window[2:4], window[4:]) for pool in (mean, largest)]
    pools = [Value("result", tuple(one.shape)) for one in expected_pools]
    total, out = Value("result", pools[0].size), Value("result", (2, channels))
    steps = [first]
    steps += [Step("pool", [middle], [to], sizes=[*window, kind, kind]) for to, kind in zip(pools, (1, 0), strict=True)]
    steps += [Step("pointwise", [*pools], [total], program=[Operation("add", 0, 1)])]
    steps += [Step("reduce", [total], [out], sizes=[2, 2, 1])]
    graph = blocked(Graph([value], [out], steps), block)
    assert sum(step.what == "relayout" for step in graph.steps) <= 2
    with native.force(isa):
        found = run(graph, x)
    torch.testing.assert_close(found, sum(expected_pools).mean((2, 3)), rtol=1e-4, atol=1e-5)


class Gated(nn.Module):
    """Residual blocks with gates for each channel, joined channels, and sizes that no block divides."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide = nn.Conv2d(3, 20, 3, 2, 1), nn.Conv2d(20, 20, 3, padding=1, groups=20)
        self.gate, self.back = nn.Conv2d(20, 20, 1), nn.Conv2d(20, 20, (1, 5), padding=(0, 2))
        self.last = nn.Conv2d(40, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.first(x))
        y = F.hardswish(self.wide(x))
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        y = F.relu6(self.back(y) + x)
        joined = torch.cat([y, F.max_pool2d(x, 3, 1, 1)], 1)
        return self.last(joined)


@pytest.mark.parametrize("isa", ISAS)
def test_networks_with_gates_and_joined_channels(isa: str) -> None:
    torch.manual_seed(0)
    network = Gated().eval()
    with native.force(isa), torch.no_grad():
        engine = compile_network(network, (torch.randn(2, 3, 17, 13),), threads=2)
        assert engine.torch_steps == ()
        for batch in (2, 5):
            x = torch.randn(batch, 3, 17, 13)
            torch.testing.assert_close(engine(x), network(x), rtol=1e-4, atol=1e-5)


def test_scattered_weights_compute_the_same_in_either_layout() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(8, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.AvgPool2d(2)
    ).eval()
    for module in network:
        if isinstance(module, nn.Conv2d):
            module.weight.data *= torch.rand_like(module.weight) < 0.04
    engine = compile_network(network, (torch.randn(1, 8, 16, 16),), threads=1)
    x = torch.randn(3, 8, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(engine(x), network(x), rtol=1e-4, atol=1e-5)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Steps on images that can do with either layout, need blocks, or need whole channels."""
    size = (2, 16, 4, 4)
    values = [Value("input", size)]
    steps = []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["convolution", "pool", "sum", "softmax"]))
        x = draw(st.sampled_from(values))
        other = draw(st.sampled_from(values))
        out = Value("result", size)
        if kind == "convolution":
            steps.append(convolution(x, torch.randn(16, 16, 3, 3), {"padding": 1}))
            out = steps[-1].outputs[0]
        elif kind == "pool":
            steps.append(Step("pool", [x], [out], sizes=[3, 3, 1, 1, 1, 1, 0, 0]))
        elif kind == "sum":
            steps.append(Step("pointwise", [x, other], [out], program=[Operation("add", 0, 1)]))
        else:
            steps.append(Step("softmax", [x], [out]))
        values.append(out)
    return Graph(values[:1], [values[-1]], steps)


def converted(graph: Graph, chosen: set[Step]) -> int:
    """How many numbers are converted, counted by walking through the graph."""
    count = 0
    for value in {value for step in graph.steps for value in (*step.inputs, *step.outputs) if value is not None}:
        written = any(value in step.outputs and step in chosen for step in graph.steps)
        read = {step in chosen for step in graph.steps if value in step.inputs} | (
            {False} if value in graph.outputs else set()
        )
        count += math.prod(value.size) * bool(read - {written})
    return count


@settings(deadline=None, max_examples=80)
@given(networks())
def test_no_other_choice_of_layouts_converts_less(graph: Graph) -> None:
    chosen, cost = choose_layouts(graph, {})
    needed = {step for step in graph.steps if step.what == "convolution"}
    free = [step for step in graph.steps if images_of(step) and step not in needed]
    assert needed <= chosen <= needed | set(free)
    assert converted(graph, chosen) == cost
    choices = itertools.product([False, True], repeat=len(free))
    assert cost == min(converted(graph, needed | set(itertools.compress(free, choice))) for choice in choices)


@settings(deadline=None, max_examples=30)
@given(networks(), st.sampled_from([16, 1]))
def test_conversions_are_those_counted_and_change_nothing(graph: Graph, block: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 4, 4)
    known = {graph.inputs[0]: x}
    for step in graph.steps:
        tensors = [known[value] for value in step.inputs if value is not None]
        if step.what == "convolution":
            known[step.outputs[0]] = F.conv2d(tensors[0], step.weight.view(16, 16, 3, 3), padding=1)
        elif step.what == "pool":
            known[step.outputs[0]] = F.max_pool2d(tensors[0], 3, 1, 1)
        else:
            known[step.outputs[0]] = sum(tensors) if step.what == "pointwise" else tensors[0].softmax(-1)
    expected = known[graph.outputs[0]]
    cost = choose_layouts(graph, {}, block)[1]
    found = blocked(graph, block)
    assert sum(step.what == "relayout" for step in found.steps) * x.numel() == cost
    result = run(found, x)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
