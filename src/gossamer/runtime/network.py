"""A network from a .gsm file, called with NumPy arrays.

The file is read, checked and run natively (`cpp/engine/file.hpp` describes it). Loading maps the file and looks at its
head alone; its weights are compared with their checksums before the first answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gossamer import extension
from gossamer.errors import DataError, FileError, ModelError, SettingError

Array = np.ndarray[Any, Any]

_NUMBERS = (np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_))
_REMEMBERED = 64  # sets of shapes whose instance is found without asking


@dataclass(frozen=True)
class Port:
    """An input or an output of a network.

    Attributes:
        name: In the file.
        dtype: float32, int32, int64 or bool.
        shape: One size an axis, or what it counts where it differs from call to call, such as "batch".
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.shape))})"


class Network:
    """A network for prediction, from a file; `load` opens it.

    Several threads may call it at the same time.

    Attributes:
        path: The file.
        threads: Of each call.
        inputs: What a call takes, in order.
        outputs: What it returns.
        independent: Whether the rows of a batch do not depend on each other, as far as was tried when it was saved; so
            that calls of several callers may be answered as one.
        description: What the file says of itself.
    """

    def __init__(self, native: Any, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        self.inputs, self.outputs = _ports(native.inputs()), _ports(native.outputs())
        self.independent: bool = native.independent()
        self.description = _description(path, native.description())
        self._native = native
        self._dtypes = [np.dtype(port.dtype) for port in self.inputs]
        self._known: dict[Any, tuple[Any, list[tuple[tuple[int, ...], np.dtype[Any]]]]] = {}
        self._single = len(self.outputs) == 1 and bool(self.description.get("single", True))

    def __call__(self, *arrays: Any) -> Any:
        """Returns the network's output, or a tuple of them, for one array an input.

        Args:
            *arrays: NumPy arrays, or tensors of PyTorch on the CPU; then tensors come back.

        Raises:
            DataError: An array has another dtype or shape than the network takes, or an index is out of range.
            FileError: The file is damaged.
        """
        shapes = []
        for array, dtype in zip(arrays, self._dtypes, strict=False):
            if type(array) is not np.ndarray or array.dtype is not dtype or not array.flags.carray:
                return self._call_with(arrays)
            shapes.append(array.shape)
        known = self._known.get(tuple(shapes))
        if known is None or len(arrays) != len(self._dtypes):
            return self._call_with(arrays)
        results = self._run(arrays, *known)
        return results[0] if self._single else tuple(results)

    def _call_with(self, arrays: Sequence[Any]) -> Any:
        """Answers a call whose arrays have not been seen to be what the network takes."""
        given = [_array(array) for array in arrays]
        if len(given) != len(self._dtypes):
            raise DataError(f"found {len(given)} inputs, expected {len(self._dtypes)}: {self._expected()}")
        for place, (array, dtype) in enumerate(zip(given, self._dtypes, strict=True)):
            if array.dtype != dtype:
                raise DataError(f"{self.inputs[place].name}: found {array.dtype}, expected {self.inputs[place]}")
            if not (array.flags.c_contiguous and array.flags.aligned):
                given[place] = np.array(array, order="C")
        shapes = tuple(array.shape for array in given)
        results: list[Any] = self._run(given, *(self._known.get(shapes) or self._prepare(shapes)))
        if any(hasattr(array, "detach") for array in arrays):
            import torch

            results = [torch.from_numpy(array) for array in results]
        return results[0] if self._single else tuple(results)

    def _run(
        self, given: Sequence[Array], instance: Any, sizes: list[tuple[tuple[int, ...], np.dtype[Any]]]
    ) -> list[Array]:
        results = [np.empty(size, dtype) for size, dtype in sizes]
        if self._native.run(instance, tuple(given), results) >= 0:
            raise DataError("a number in an input, such as a token or a node, is out of range")
        return results

    def verify(self) -> None:
        """Compares the whole file with its checksums, as the first call does.

        Raises:
            FileError: It is damaged.
        """
        try:
            self._native.verify()
        except _native_error() as error:
            raise FileError(f"{self.path}: {error}") from None

    def prepare(self, *shapes: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Lays out memory for inputs of these shapes, and returns those of the outputs.

        Raises:
            DataError: The network does not take such inputs.
            FileError: The file is damaged.
        """
        _, sizes = self._known.get(shapes) or self._prepare(shapes)
        return [size for size, _ in sizes]

    def _prepare(self, shapes: tuple[Any, ...]) -> tuple[Any, list[tuple[tuple[int, ...], np.dtype[Any]]]]:
        try:
            instance = self._native.instance([list(shape) for shape in shapes])
        except _native_error() as error:
            raise FileError(f"{self.path}: {error}") from None
        except ValueError as error:
            raise DataError(f"{error}; the network takes {self._expected()}") from None
        sizes = [
            (tuple(self._native.output_size(instance, place)), np.dtype(port.dtype))
            for place, port in enumerate(self.outputs)
        ]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[shapes] = instance, sizes
        return instance, sizes

    def _expected(self) -> str:
        return ", ".join(map(str, self.inputs))


def load(path: str | Path | bytes, *, threads: int | None = None) -> Network:
    """Opens a network from a .gsm file, in milliseconds whatever its size.

    Args:
        path: The file, which `Engine.save` or `gossamer export` wrote, or its content. A file must not be changed in
            its place while the network is in use; one that is replaced by renaming is safe.
        threads: Of a call; as many as there are cores by default.

    Raises:
        FileError: It is missing, damaged, no .gsm file, of a newer version, or needs another processor. Damaged weights
            are noticed at the first call, or by `Network.verify`.
        ModelError: There are no native kernels here.
        SettingError: `threads` is below 1.
    """
    if threads is not None and threads < 1:
        raise SettingError(f"threads is {threads}; expected at least 1")
    module, why = extension.load()
    if module is None:
        raise ModelError(f"the engine needs the native kernels: {why}")
    threads = threads or len(os.sched_getaffinity(0))
    try:
        if isinstance(path, bytes):
            return Network(module.Network.from_memory(path, threads), Path("<bytes>"), threads)
        return Network(module.Network.open(str(path), threads), Path(path), threads)
    except module.FileError as error:
        raise FileError(str(error)) from None


def _native_error() -> type[Exception]:
    """Returns the class of the native reader's errors."""
    module, _ = extension.load()
    assert module is not None
    found: type[Exception] = module.FileError
    return found


def _ports(found: list[tuple[str, int, list[int], list[str]]]) -> tuple[Port, ...]:
    return tuple(
        Port(name, _NUMBERS[number].name, tuple(label if n < 0 else n for n, label in zip(size, labels, strict=True)))
        for name, number, size, labels in found
    )


def _description(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise FileError(f"{path}: is damaged: its description is no JSON object; save the network again")
    return found


def _array(value: Any) -> Array:
    """Returns an array, or that of a tensor of PyTorch, which is not imported here."""
    if hasattr(value, "detach"):
        value = value.detach()
        if value.device.type != "cpu":
            raise DataError(f"an input is on {value.device}; the engine runs on the CPU, so call .cpu() first")
        found: Array = value.numpy()
        return found
    if not isinstance(value, np.ndarray | np.generic):
        raise DataError(f"found an argument of {type(value).__name__}; expected NumPy arrays or tensors of PyTorch")
    return np.asarray(value)
