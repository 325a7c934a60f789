"""Writes an engine as one .gsm file, in the form that `cpp/engine/file.hpp` describes and the native reader checks."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

import gossamer
from gossamer import extension
from gossamer.deploy.engine.graph import Size, Step, Value, same
from gossamer.deploy.engine.words import encode
from gossamer.deploy.export.inputs import BATCH
from gossamer.errors import FileError, GossamerError, ModelError
from gossamer.files import write_atomic

if TYPE_CHECKING:
    from gossamer.deploy.engine.engine import Engine

MAGIC = b"\x89GSM\r\n\x1a\n"
VERSION = 1
SUFFIX = ".gsm"
_WORD, _ALIGN = 8, 64
_ANY_PROCESSOR = 0  # weights lie in the same way for every instruction set
_ROWS, _TOLERANCE = 3, 1e-3  # of the trial whether the rows of a batch are independent


def save(engine: Engine, path: str | Path) -> Path:
    """Writes an engine to a file, whole or not at all.

    Raises:
        FileError: The file cannot be written, or its name ends otherwise.
        ModelError: Parts of the network run in PyTorch; they are named.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise FileError(f"{path}: expected a name that ends with {SUFFIX}")
    head, parts = _encoded(engine)

    def write(stream: BinaryIO) -> None:
        stream.write(head)
        for piece in _pieces(parts):
            stream.write(piece)

    return write_atomic(path, write)


def to_bytes(engine: Engine) -> bytes:
    """Returns what `save` writes. Raises `ModelError` as it does."""
    head, parts = _encoded(engine)
    return b"".join((head, *_pieces(parts)))


def _encoded(engine: Engine) -> tuple[bytes, list[memoryview]]:
    """Returns the head of the file and the constants that follow."""
    if engine.torch_steps:
        names = ", ".join(dict.fromkeys(engine.torch_steps))
        raise ModelError(
            f"the network cannot be a {SUFFIX} file, because PyTorch runs {names}; "
            "gossamer.deploy.save keeps its modules, gossamer.export writes ONNX or .pt2"
        )
    outputs, copies = _distinct(engine.graph.outputs)
    words, constants = encode(engine.graph.inputs, outputs, [*engine.graph.steps, *copies])
    parts = [_bytes(one) for one in constants]
    description = json.dumps(
        {
            "gossamer": gossamer.__version__,
            "single": engine.single,
            "example": [list(one.value.shape) for one in engine.inputs.of],
        }
    )
    head = _Head(_independent(engine), *_ports(engine, outputs), [len(one) for one in parts], _sums(parts), words)
    # Spaces after the description bring the end of the head to where weights may begin.
    description = description.ljust(-(-len(description) // _WORD) * _WORD)
    description += " " * (-len(head.encode(description, 0)) % _ALIGN)
    return head.encode(description, len(head.encode(description, 0))), parts


@dataclass(frozen=True)
class _Head:
    independent: bool
    inputs: Sequence[tuple[str, Sequence[str]]]  # names, and labels of axes
    outputs: Sequence[tuple[str, Sequence[str]]]
    lengths: Sequence[int]  # of constants, in bytes
    sums: Sequence[int]
    plan: Sequence[int]

    def encode(self, description: str, start: int) -> bytes:
        """Returns the bytes of the head, if constants begin at `start`."""
        words = [_ANY_PROCESSOR, int(self.independent), *_text(description)]
        for ports in (self.inputs, self.outputs):
            words.append(len(ports))
            for name, labels in ports:
                words += [*_text(name), len(labels), *(word for label in labels for word in _text(label))]
        words.append(len(self.lengths))
        at = start
        for count in self.lengths:
            words += [at, count]
            at += _aligned(count)
        words += [len(self.sums), *self.sums, len(self.plan), *self.plan]
        body = struct.pack(f"<{len(words)}q", *(word - (1 << 64) if word >= 1 << 63 else word for word in words))
        count = len(MAGIC) + 3 * _WORD + len(body) + _WORD
        begun = MAGIC + struct.pack("<3q", VERSION, count, at) + body
        return begun + struct.pack("<Q", _checksum(begun))


def _text(text: str) -> list[int]:
    """Returns the words of a text: its bytes, then as many words as these fill."""
    data = text.encode()
    padded = data.ljust(-(-len(data) // _WORD) * _WORD, b"\0")
    return [len(data), *struct.unpack(f"<{len(padded) // _WORD}q", padded)]


def _distinct(outputs: Sequence[Value]) -> tuple[list[Value], list[Step]]:
    """Returns outputs of which none is there twice, and the steps that copy those that were."""
    found: list[Value] = []
    copies: list[Step] = []
    for value in outputs:
        if value not in found:
            found.append(value)
            continue
        found.append(Value("result", value.size, value.dtype))
        copies.append(Step("copy", [value], [found[-1]]))
    return found, copies


def _ports(engine: Engine, outputs: Sequence[Value]) -> tuple[list[Any], list[Any]]:
    """Returns name and labels of each input and output; the label of an axis of fixed size is empty."""
    symbols = _symbols(engine)

    def label(size: Size) -> str:
        return "" if isinstance(size, int) or size.is_Integer else str(size.subs(symbols))

    names = ["output"] if len(outputs) == 1 else [f"output_{place}" for place in range(len(outputs))]
    return (
        [(one.name, [label(size) for size in value.size]) for one, value in _inputs(engine)],
        [(name, [label(size) for size in value.size]) for name, value in zip(names, outputs, strict=True)],
    )


def _inputs(engine: Engine) -> Iterable[tuple[Any, Value]]:
    return zip(engine.inputs.of, engine.graph.inputs, strict=True)


def _symbols(engine: Engine) -> dict[Any, str]:
    """Returns what each symbol of the network's sizes counts."""
    return {
        size: axis
        for one, value in _inputs(engine)
        for size, axis in zip(value.size, one.axes, strict=True)
        if axis is not None and not isinstance(size, int) and size.is_Symbol
    }


def _independent(engine: Engine) -> bool:
    """Says whether each row of a batch gives its own rows of the outputs, as far as a trial can tell."""
    batch = next((size for size, axis in _symbols(engine).items() if axis == BATCH), None)
    if batch is None:
        return False
    for value in (*engine.graph.inputs, *engine.graph.outputs):
        if not value.size or not same(value.size[0], batch):
            return False
        if any(not isinstance(size, int) and batch in size.free_symbols for size in value.size[1:]):
            return False
    rows = [_varied(tensor) for tensor in engine.inputs.resized({BATCH: _ROWS})]
    try:
        whole = engine(*rows)
        alone = [engine(*(one[row : row + 1] for one in rows)) for row in range(_ROWS)]
    except GossamerError:
        return False
    if engine.single:
        whole, alone = (whole,), [(one,) for one in alone]
    return all(
        torch.allclose(together.double(), torch.cat(single).double(), rtol=_TOLERANCE, atol=_TOLERANCE)
        for together, single in zip(whole, map(list, zip(*alone, strict=True)), strict=True)
    )


def _varied(rows: Tensor) -> Tensor:
    """Returns rows that differ from each other."""
    if rows.is_floating_point():
        factors = 1.0 + 0.3 * torch.arange(len(rows), dtype=rows.dtype)
        return rows * factors.reshape(-1, *[1] * (rows.dim() - 1))
    return torch.stack([row.flatten().roll(place).reshape(row.shape) for place, row in enumerate(rows)])


def _aligned(count: int) -> int:
    return -(-count // _ALIGN) * _ALIGN


def _bytes(tensor: Tensor) -> memoryview:
    numbers: Any = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)


def _pieces(parts: Sequence[memoryview]) -> Iterator[bytearray]:
    """Yields the constants, each filled to a multiple of the alignment, in pieces that share a checksum."""
    size = _native().piece
    held = bytearray()
    for part in parts:
        at = 0
        while at < len(part):
            taken = part[at : at + size - len(held)]
            held += taken
            at += len(taken)
            if len(held) == size:
                yield held
                held = bytearray()
        held += bytes(_aligned(len(part)) - len(part))
        if len(held) == size:
            yield held
            held = bytearray()
    if held:
        yield held


def _sums(parts: Sequence[memoryview]) -> list[int]:
    return [_checksum(piece) for piece in _pieces(parts)]


def _checksum(data: bytes | bytearray) -> int:
    found: int = _native().checksum(np.frombuffer(data, np.uint8).ctypes.data, len(data))
    return found


def _native() -> Any:
    module, why = extension.load()
    if module is None:
        raise ModelError(f"the engine needs the native kernels: {why}")
    return module
