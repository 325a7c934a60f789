"""Writes a list of steps as the words of a native plan; `cpp/engine/plan.cpp` reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gossamer.deploy.engine.graph import OPERATORS, STEPS, Size, Step, Value
from gossamer.errors import ModelError

VERSION = 1
_KINDS = {"input": 0, "constant": 1, "result": 2, "view": 3}
_NUMBERS = {torch.float32: 0, torch.int32: 1, torch.int64: 2, torch.bool: 3}
_CONSTANT, _SYMBOL, _ADD, _MULTIPLY, _DIVIDE, _MODULO, _MOST, _LEAST = range(8)


def encode(inputs: Sequence[Value], outputs: Sequence[Value], steps: Sequence[Step]) -> tuple[list[int], list[Tensor]]:
    """Returns the words of a plan, and its constants in their order.

    Args:
        inputs: Values that a call gives, contiguous.
        outputs: Results that a call wants.
        steps: In order; none of them is a PyTorch step.

    Raises:
        ModelError: A size depends on something that is the size of no axis of an input.
    """
    values, constants = _values(inputs, outputs, steps)
    place = {value: i for i, value in enumerate(values)}
    symbols = _symbols(inputs)
    writer = _Writer(list(symbols))
    writer.put(VERSION, len(constants), len(symbols))
    for source in symbols.values():
        writer.put(*source)
    writer.put(len(values))
    numbers = {value: i for i, value in enumerate(inputs)} | {value: i for i, value in enumerate(constants)}
    for value in values:
        if value.dtype not in _NUMBERS:
            raise ModelError(f"the engine holds 32-bit floats, integers and truths, not {value.dtype}")
        kind = "input" if value in numbers and value.kind != "constant" else value.kind
        where = place[value.of] if value.of is not None else numbers.get(value, 0)
        writer.put(_KINDS[kind], _NUMBERS[value.dtype], where)
        writer.sizes(value.size)
        if value.kind == "view":
            writer.size(value.offset)
            writer.sizes(value.stride)
    writer.put(len(steps))
    for step in steps:
        writer.step(step, place)
    for some in (inputs, outputs):
        writer.put(len(some), *(place[value] for value in some))
    return writer.words, [value.data for value in constants if value.data is not None]


def _values(
    inputs: Sequence[Value], outputs: Sequence[Value], steps: Sequence[Step]
) -> tuple[list[Value], list[Value]]:
    """Returns all values, each behind what it looks at, and those that are constants."""
    given = set(inputs)
    seen: dict[Value, None] = dict.fromkeys(inputs)
    for step in steps:
        for value in (*step.inputs, *step.outputs):
            if value is not None and value not in given:
                seen.setdefault(value.root)
                seen.setdefault(value)
    for value in outputs:
        seen.setdefault(value)
    return list(seen), [value for value in seen if value.kind == "constant" and value not in given]


def _symbols(inputs: Sequence[Value]) -> dict[Any, tuple[int, int]]:
    """Returns where each size that is no number is found: an axis of an input. An expression counts as one symbol."""
    found: dict[Any, tuple[int, int]] = {}
    for place, value in enumerate(inputs):
        for axis, size in enumerate(value.size):
            if not isinstance(size, int):
                found.setdefault(size, (place, axis))
    return found


class _Writer:
    def __init__(self, symbols: list[Any]) -> None:
        self.words: list[int] = []
        self._symbols = symbols

    def put(self, *words: int) -> None:
        self.words += words

    def sizes(self, sizes: Sequence[Size]) -> None:
        self.put(len(sizes))
        for size in sizes:
            self.size(size)

    def size(self, size: Size) -> None:
        pairs = self._expression(size)
        self.put(len(pairs), *(word for pair in pairs for word in pair))

    def number(self, number: float) -> None:
        self.put(struct.unpack("<q", struct.pack("<d", number))[0])

    def step(self, step: Step, place: dict[Value, int]) -> None:
        self.put(STEPS.index(step.what))
        self.put(len(step.inputs), *(-1 if value is None else place[value] for value in step.inputs))
        self.put(len(step.outputs), *(place[value] for value in step.outputs))
        self.sizes(step.sizes)
        self.put(len(step.numbers))
        for number in step.numbers:
            self.number(number)
        self.put(len(step.program))
        for operation in step.program:
            self.put(OPERATORS.index(operation.what), operation.a, operation.b)
            self.number(operation.p)
            self.number(operation.q)

    def _expression(self, size: Size) -> list[tuple[int, int]]:
        """Returns a size as operations on a stack."""
        if isinstance(size, int) or size.is_Integer:
            return [(_CONSTANT, int(size))]
        if size in self._symbols:
            return [(_SYMBOL, self._symbols.index(size))]
        if size.is_Symbol:
            raise ModelError(f"a size depends on {size}, which is the size of no axis of an input")
        name = type(size).__name__
        codes = {
            "Add": _ADD,
            "Mul": _MULTIPLY,
            "FloorDiv": _DIVIDE,
            "Mod": _MODULO,
            "PythonMod": _MODULO,
            "Max": _MOST,
            "Min": _LEAST,
        }
        if name not in codes:
            raise ModelError(f"a size is {size}, which the engine cannot work out")
        words: list[tuple[int, int]] = []
        for place, argument in enumerate(size.args):
            words += self._expression(argument)
            if place:
                words.append((codes[name], 0))
        return words
