"""A network as a small typed graph: values, and steps that make values of values.

Sizes are numbers or expressions of symbols (SymPy's), such as the number of images in a batch. A value is an input, a
constant, the result of a step, or a view of another value; all but views are contiguous. Steps run in their order. A
step whose `what` is `torch` has no kernel and runs as PyTorch does; everything else is one of `STEPS`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

Size = Any  # an int or a SymPy expression

STEPS = (
    "linear",
    "convolution",
    "pointwise",
    "matmul",
    "attention",
    "softmax",
    "normalize",
    "reduce",
    "pool",
    "copy",
    "gather",
    "propagate",
    "neighbour_attention",
    "head_dots",
    "blocked_convolution",
    "blocked_depthwise",
    "blocked_pool",
    "relayout",
    "arithmetic",
    "scan",
    "argmax",
    "take",
    "scatter",
    "recurrent",
    "sort_edges",
    "self_loops",
)  # in the order of the native `What`
OPERATORS = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "affine",
    "clamp",
    "relu",
    "leaky",
    "elu",
    "gelu",
    "gelu_tanh",
    "silu",
    "sigmoid",
    "tanh",
    "exp",
    "sqrt",
    "rsqrt",
    "absolute",
    "reciprocal",
    "erf",
    "hard_sigmoid",
    "hard_swish",
    "square",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "keep",
    "log",
    "sin",
    "cos",
    "floor",
    "round",
    "power",
    "remainder",
    "softplus",
)  # in the order of the native `Operator`
MOST_INPUTS, MOST_OPERATIONS, MOST_AXES = 8, 16, 8  # of an elementwise program, and of any value


@dataclass(eq=False)
class Value:
    """Something that steps read and write.

    Attributes:
        kind: Where it comes from.
        size: One size an axis.
        dtype: float32, int32, int64 or bool; anything where only PyTorch steps touch it.
        data: The numbers of a constant.
        of: What a view looks at: a value that is no view.
        offset: Of a view, in numbers.
        stride: Of a view, one an axis, in numbers.
    """

    kind: Literal["input", "constant", "result", "view"]
    size: tuple[Size, ...]
    dtype: torch.dtype = torch.float32
    data: Tensor | None = None
    of: Value | None = None
    offset: Size = 0
    stride: tuple[Size, ...] = ()

    @property
    def root(self) -> Value:
        """The value whose memory this one lies in."""
        return self if self.of is None else self.of

    @property
    def strides(self) -> tuple[Size, ...]:
        """One an axis, in numbers."""
        return self.stride if self.kind == "view" else contiguous_strides(self.size)

    @property
    def contiguous(self) -> bool:
        """Whether it is known to lie contiguously, whatever its sizes are."""
        expected = contiguous_strides(self.size)
        return all(size == 1 or same(a, b) for size, a, b in zip(self.size, self.strides, expected, strict=True))


@dataclass(frozen=True)
class Operation:
    """One operation of an elementwise program; registers are the inputs, then the results of the operations so far."""

    what: str
    a: int
    b: int
    p: float = 0.0
    q: float = 0.0


@dataclass(eq=False)
class Step:
    """What makes values of values.

    Attributes:
        what: One of `STEPS`, or torch.
        inputs: What it reads; None where an optional one is missing.
        outputs: What it writes: results, or views of results.
        sizes, numbers: Its attributes, in the order of the native step.
        program: Of an elementwise step: `pointwise` on floats, `arithmetic` on numbers of any kind.
        weight, places, bias, relu, ceiling: Of a product, before it has a kernel: the matrix (outputs, columns), which
            of its places may hold a weight at all (None: all), and what follows; a convolution adds its second input.
        kernel: What was chosen for it, for `explain`.
        origin: The operators it stands for, for `explain`.
        layer: Dotted name of the parameter that is its weight; "" where there is none.
        call: Of a PyTorch step: gets the values of `inputs` and returns those of `outputs`.
    """

    what: str
    inputs: list[Value | None]
    outputs: list[Value]
    sizes: list[Size] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    program: list[Operation] = field(default_factory=list)
    weight: Tensor | None = None
    places: Tensor | None = None
    bias: Tensor | None = None
    relu: bool = False
    ceiling: float = math.inf
    kernel: str = ""
    origin: str = ""
    layer: str = ""
    call: Callable[..., Sequence[Any]] | None = None

    def replace(self, **changes: Any) -> Step:
        """Returns a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(eq=False)
class Graph:
    """A whole network: what goes in, what comes out, and the steps between, in order."""

    inputs: list[Value]
    outputs: list[Value]
    steps: list[Step]

    def readers(self) -> dict[Value, list[Step]]:
        """Returns the steps that read each value, through views too."""
        found: dict[Value, list[Step]] = {}
        for step in self.steps:
            for root in {value.root for value in step.inputs if value is not None}:
                found.setdefault(root, []).append(step)
        return found

    def writers(self) -> dict[Value, list[Step]]:
        """Returns the steps that write each value, through views too."""
        found: dict[Value, list[Step]] = {}
        for step in self.steps:
            for root in {value.root for value in step.outputs}:
                found.setdefault(root, []).append(step)
        return found


def contiguous_strides(size: Sequence[Size]) -> tuple[Size, ...]:
    """Returns the strides of a contiguous value.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides: list[Size] = []
    product: Size = 1
    for one in reversed(size):
        strides.append(product)
        product = product * one
    return tuple(reversed(strides))


def same(left: Size, right: Size) -> bool:
    """Says whether two sizes are known to be equal."""
    difference = left - right
    return bool(difference == 0) if isinstance(difference, int) else bool(difference.expand() == 0)


def all_same(left: Sequence[Size], right: Sequence[Size]) -> bool:
    """Says whether two shapes are known to be equal."""
    return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))


def product(sizes: Iterable[Size]) -> Size:
    """Returns the product of sizes; 1 of none."""
    total: Size = 1
    for one in sizes:
        total = total * one
    return total
