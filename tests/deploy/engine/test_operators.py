"""Each operator against PyTorch's own, in float64 where rounding matters; programs and shapes at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.deploy import compile as compile_network
from gossamer.deploy.engine.builder import Builder
from gossamer.deploy.engine.graph import OPERATORS, Graph, Operation, Step, Value
from gossamer.deploy.engine.passes import simplify
from gossamer.deploy.engine.words import encode
from gossamer.kernels import native

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *arguments: Tensor) -> Any:
        return self.function(*arguments)


def check(function: Callable[..., Any], *arguments: Tensor, native_only: bool = True) -> None:
    engine = compile_network(Function(function).eval(), arguments, dynamic=False, threads=1)
    assert not native_only or engine.torch_steps == ()
    torch.testing.assert_close(engine(*arguments), function(*arguments), rtol=1e-5, atol=1e-5, equal_nan=True)


WEIGHT = torch.randn(24, 6, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.conv2d(x, WEIGHT[:, :6], stride=2, padding=1),
        lambda x: F.conv2d(x, WEIGHT[:, :6], torch.arange(24.0), padding=(2, 0), dilation=(1, 2)),
        lambda x: F.conv2d(x, WEIGHT[:, :3], groups=2, padding=1),
        lambda x: F.conv2d(x, WEIGHT[:6, :1], groups=6, padding=1),
        lambda x: F.conv1d(x.flatten(2), WEIGHT[:, :6, 0], padding=1, stride=2),
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, (3, 2), ceil_mode=True),
        lambda x: F.max_pool1d(x.flatten(2), 5, 2, 2),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.adaptive_avg_pool2d(x[..., :10, :8], (5, 4)),
        lambda x: x.mean((2, 3)),
        lambda x: x.sum(1, keepdim=True),
        lambda x: x.amax((1, 2)),
        lambda x: x.softmax(-1),
        lambda x: x.softmax(1),
        lambda x: F.layer_norm(x, x.shape[-1:]),
        lambda x: F.layer_norm(x, x.shape[-2:], torch.full(x.shape[-2:], 2.0), torch.ones(x.shape[-2:])),
        lambda x: F.group_norm(x, 3, torch.arange(6.0), torch.ones(6)),
        lambda x: F.rms_norm(x, x.shape[-1:], torch.full(x.shape[-1:], 0.5)),
        lambda x: F.pad(x, (1, 2, 0, 3), value=-1.5),
        lambda x: torch.roll(x, (3, -2), (2, 3)),
        lambda x: torch.cat([x, x[:, :2] * 2, x.flip(0) if False else x], 1),
        lambda x: torch.stack([x, -x], 2),
        lambda x: x.permute(3, 1, 0, 2)[1:, ::2].reshape(-1, x.shape[0]),
        lambda x: x.transpose(1, 3)[..., -1] + 1,
        lambda x: x.unsqueeze(2).expand(-1, -1, 4, -1, -1) * 0.5,
        lambda x: torch.chunk(x, 4, 1)[1] + x.split([1, 2, 3], 1)[2][:, :2],
        lambda x: x.unbind(1)[3],
        lambda x: x[:, 0] @ x[:, 1].transpose(1, 2),
        lambda x: torch.matmul(x, x[:, :1].transpose(2, 3)),
        lambda x: F.scaled_dot_product_attention(x, x * 0.5, x + 1),
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        lambda x: F.scaled_dot_product_attention(x, x[:, :1], x[:, :1], x[:, :1, :, :1].transpose(2, 3), scale=0.3),
        lambda x: torch.addcmul(x, x, x, value=0.3) - torch.lerp(x, x * 2, 0.25),
    ],
)
def test_operators(function: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    check(function, torch.randn(2, 6, 11, 9))


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "affine": lambda a, p, q: p * a + q,
    "clamp": lambda a, p, q: a.clamp(min(p, q), max(p, q)),
    "relu": torch.relu,
    "leaky": lambda a, p, q: torch.where(a < 0, p * a, a),
    "elu": lambda a, p, q: torch.where(a < 0, p * torch.expm1(a), a),
    "gelu": F.gelu,
    "gelu_tanh": lambda a: F.gelu(a, approximate="tanh"),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "absolute": torch.abs,
    "reciprocal": torch.reciprocal,
    "erf": torch.erf,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "square": torch.square,
    "equal": lambda a, b: (a == b).to(a.dtype),
    "not_equal": lambda a, b: (a != b).to(a.dtype),
    "less": lambda a, b: (a < b).to(a.dtype),
    "less_equal": lambda a, b: (a <= b).to(a.dtype),
    "greater": lambda a, b: (a > b).to(a.dtype),
    "greater_equal": lambda a, b: (a >= b).to(a.dtype),
    "keep": lambda a, b: torch.where(a != 0, b, 0.0),
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "floor": torch.floor,
    "round": torch.round,
    "power": torch.pow,
    "remainder": torch.remainder,
    "softplus": F.softplus,
}
WITH_NUMBERS = {"affine", "clamp", "leaky", "elu", "softplus"}
OF_TWO = {"add", "subtract", "multiply", "divide", "maximum", "minimum", "keep", "power", "remainder"}
OF_TWO |= {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


def run(graph: Graph, *tensors: Tensor) -> Tensor:
    words, constants = encode(graph.inputs, graph.outputs, graph.steps)
    module = native.kernels()
    assert module is not None
    engine = module.Engine(words, [one.data_ptr() for one in constants], [one.nbytes for one in constants], 2)
    instance = engine.instance([list(one.shape) for one in tensors])
    out = torch.empty(engine.output_size(instance, 0))
    assert engine.run(instance, [one.data_ptr() for one in tensors], [out.data_ptr()]) == -1
    return out


def test_every_operator_of_programs_has_a_reference() -> None:
    assert set(FUNCTIONS) == set(OPERATORS)


@pytest.mark.parametrize("step", ["pointwise", "arithmetic"])
@pytest.mark.parametrize("isa", native.instruction_sets())
@pytest.mark.parametrize("what", OPERATORS)
def test_operators_of_programs_are_exact_to_rounding(what: str, isa: str, step: str) -> None:
    x = torch.cat([torch.linspace(-9, 9, 1001), torch.tensor([0.0, -0.0, 1e-6, float("nan"), 80.0, -80.0])])
    y = x.flip(0).roll(7) * 0.7
    p, q = -0.4, 0.9
    value = Value("input", (len(x),))
    other = Value("input", (len(x),))
    out = Value("result", (len(x),))
    program = [Operation(what, 0, 1 if what in OF_TWO else 0, p, q)]
    with native.force(isa):
        found = run(Graph([value, other], [out], [Step(step, [value, other], [out], program=program)]), x, y)
    wide = x.double()
    function = FUNCTIONS[what]
    expected = (
        function(wide, y.double())
        if what in OF_TWO
        else function(wide, p, q)
        if what in WITH_NUMBERS
        else function(wide)
    )
    torch.testing.assert_close(found, expected.float(), rtol=2e-6, atol=3e-7, equal_nan=True)


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], list[Operation], list[Operation]]:
    size = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    shapes = []
    for _ in range(draw(st.integers(1, 3))):
        kept = draw(st.integers(0, len(size)))
        shapes.append(tuple(draw(st.sampled_from([1, one])) for one in size[len(size) - kept :]))
    shapes.append(tuple(size))
    calm = [
        "add",
        "subtract",
        "multiply",
        "maximum",
        "minimum",
        "affine",
        "relu",
        "leaky",
        "tanh",
        "sigmoid",
        "absolute",
    ]

    def some(first: int, count: int) -> list[Operation]:
        return [
            Operation(
                draw(st.sampled_from(calm)),
                draw(st.integers(0, first + i - 1)),
                draw(st.integers(0, first + i - 1)),
                draw(st.floats(-1, 1, width=32)),
                draw(st.floats(-1, 1, width=32)),
            )
            for i in range(count)
        ]

    return shapes, some(len(shapes), draw(st.integers(1, 5))), some(len(shapes) + 1, draw(st.integers(1, 4)))


def reference(program: list[Operation], registers: list[Tensor]) -> Tensor:
    registers = list(registers)
    for o in program:
        a, b = registers[o.a], registers[o.b]
        function = FUNCTIONS[o.what]
        registers.append(
            function(a, b) if o.what in OF_TWO else function(a, o.p, o.q) if o.what in WITH_NUMBERS else function(a)
        )
    return registers[-1]


@settings(deadline=None, max_examples=60)
@given(programs(), st.integers(0, 2**31))
def test_random_programs_joined_or_not(
    case: tuple[list[tuple[int, ...]], list[Operation], list[Operation]], seed: int
) -> None:
    shapes, first, second = case
    torch.manual_seed(seed)
    tensors = [torch.randn(shape) for shape in shapes]
    size = shapes[-1]
    registers = [one.expand(size) for one in tensors]
    expected = reference(second, [*registers, reference(first, registers)])

    def graph() -> Graph:
        values = [Value("input", shape) for shape in shapes]
        between, out = Value("result", size), Value("result", size)
        steps = [Step("pointwise", [*values], [between], program=first)]
        steps.append(Step("pointwise", [*values, between], [out], program=second))
        return Graph(values, [out], steps)

    joined = simplify(graph())
    assert len(joined.steps) == 1
    for each in (graph(), joined):
        torch.testing.assert_close(run(each, *tensors), expected.contiguous(), rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 40)] * 3), st.booleans())
def test_products_of_any_size(sizes: tuple[int, ...], turned: bool) -> None:
    outer, inner, m, k, n = sizes
    torch.manual_seed(m * n + k)
    a, b = torch.randn(outer, inner, m, k), torch.randn(outer, inner, k, n)
    left, right = Value("input", a.shape), Value("input", (outer, inner, n, k) if turned else b.shape)
    seen = right
    if turned:
        seen = Builder().view(right, b.shape, [inner * n * k, n * k, 1, k])
    out = Value("result", (outer, inner, m, n))
    graph = Graph([left, right], [out], [Step("matmul", [left, seen], [out], numbers=[0.5])])
    given_b = b.transpose(2, 3).contiguous() if turned else b
    torch.testing.assert_close(run(graph, a, given_b), 0.5 * (a @ b), rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 50), st.integers(1, 50), st.integers(1, 20), st.integers(1, 40))
def test_attention_of_any_size(heads: int, m: int, n: int, depth: int, width: int) -> None:
    torch.manual_seed(m + n)
    q, k, v = torch.randn(heads, m, depth), torch.randn(heads, n, depth), torch.randn(heads, n, width)
    values: list[Value | None] = [Value("input", one.shape) for one in (q, k, v)]
    out = Value("result", (heads, m, width))
    step = Step("attention", [*values, None], [out], sizes=[0], numbers=[0.7])
    expected = F.scaled_dot_product_attention(q, k, v, scale=0.7)
    found = run(Graph([one for one in values if one is not None], [out], [step]), q, k, v)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
