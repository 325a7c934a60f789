"""What the rules of lowering build with: values and steps, views without copies, copies where one is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from gossamer.deploy.engine.graph import Graph, Operation, Size, Step, Value, all_same, contiguous_strides, product

NUMBERS = (torch.float32, torch.int32, torch.int64, torch.bool)


class Unsupported(Exception):  # noqa: N818  a rule's way to say that PyTorch must do it
    """An operator, or the way it is used, has no kernel; the message says what."""


class Builder:
    """Collects the steps of a network.

    Attributes:
        graph: What was built so far.
        origin: The operator that is being lowered.
        bounds: What stands for sizes that only the numbers tell: the most they can be.
    """

    def __init__(self) -> None:
        self.graph = Graph([], [], [])
        self.origin = ""
        self.bounds: dict[Size, Size] = {}

    def constant(self, data: Tensor) -> Value:
        """Returns a constant."""
        data = data.detach().contiguous()
        return Value("constant", tuple(data.shape), data.dtype, data)

    def result(self, size: Sequence[Size], dtype: torch.dtype = torch.float32) -> Value:
        """Returns a value that steps are yet to write."""
        return Value("result", tuple(size), dtype)

    def add(self, step: Step) -> Value:
        """Appends a step and returns its first output."""
        step.origin = step.origin or self.origin
        self.graph.steps.append(step)
        return step.outputs[0]

    def view(self, of: Value, size: Sequence[Size], stride: Sequence[Size], offset: Size = 0) -> Value:
        """Returns a view of a value, or of what that is a view of; the offset counts from where `of` begins."""
        return Value("view", tuple(size), of.dtype, None, of.root, of.offset + offset, tuple(stride))

    def contiguous(self, value: Value) -> Value:
        """Returns a value that lies contiguously: itself, or a copy."""
        if value.contiguous:
            return value
        return self.add(Step("copy", [value], [self.result(value.size, value.dtype)], origin="layout"))

    def reshaped(self, value: Value, size: Sequence[Size]) -> Value:
        """Returns a value of other sizes and the same numbers in the same order."""
        value = self.contiguous(value)
        if all_same(value.size, size):
            return value
        return self.view(value, size, contiguous_strides(tuple(size)))

    def elementwise(
        self,
        what: str,
        *inputs: Value,
        size: Sequence[Size],
        p: float = 0.0,
        q: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> Value:
        """Appends one elementwise operation on one or two values that are broadcast to `size`.

        Floats alone run vectorised; other numbers, and truths, run in double and end as `dtype`.
        """
        for kind in (dtype, *(value.dtype for value in inputs)):
            if kind not in NUMBERS:
                raise Unsupported(f"numbers of {kind}")
        floats = all(kind is torch.float32 for kind in (dtype, *(value.dtype for value in inputs)))
        operation = Operation(what, 0, len(inputs) - 1, p, q)
        step = "pointwise" if floats else "arithmetic"
        return self.add(Step(step, list(inputs), [self.result(size, dtype)], program=[operation]))

    def converted(self, value: Value, dtype: torch.dtype) -> Value:
        """Returns a value's numbers as another kind; floats lose what is behind the point, truths are whether not 0."""
        if value.dtype is dtype:
            return value
        return self.elementwise("affine", value, size=value.size, p=1.0, dtype=dtype)

    def chosen(self, condition: Value, yes: Value, no: Value, size: Sequence[Size], dtype: torch.dtype) -> Value:
        """Returns `yes` where a condition holds and `no` elsewhere."""
        otherwise = self.elementwise(
            "equal", condition, self.filled(0, condition.size), size=condition.size, dtype=torch.bool
        )
        kept = [
            self.elementwise("keep", one, value, size=size, dtype=dtype)
            for one, value in ((condition, yes), (otherwise, no))
        ]
        return self.elementwise("add", *kept, size=size, dtype=dtype)

    def filled(self, number: float, size: Sequence[Size], dtype: torch.dtype = torch.float32) -> Value:
        """Returns one number, repeated to any size."""
        return self.view(self.constant(torch.full((1,), number, dtype=dtype)), size, [0] * len(size))


def sizes_of(node: Node) -> tuple[Size, ...]:
    """Returns the sizes of what a traced operator returns."""
    return tuple(size_of(one) for one in node.meta["val"].shape)


def size_of(size: Any) -> Size:
    """Returns a number or an expression for a size that may be a symbol of the trace."""
    return size if isinstance(size, int) else size.node.expr


def kind_of(node: Node) -> torch.dtype:
    """Returns the dtype of what a traced operator returns."""
    kind: torch.dtype = node.meta["val"].dtype
    return kind


def count_of(value: Value) -> Size:
    """Returns how many numbers a value holds."""
    return product(value.size)
