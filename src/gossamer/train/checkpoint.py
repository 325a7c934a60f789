"""Saves nested states (tensors, numbers, strings, lists, tuples, dicts) and never unpickles.

A state is one safetensors file: the tensors are its tensors, and the nesting is a JSON text in its header, in
which a tensor stands as its number. It is written whole or not at all, and a checksum over both tells an
altered file.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gossamer.errors import DataError, FileError
from gossamer.files import write_atomic

_FORMAT = "gossamer-state-1"
_COMPLEX = {str(dtype): dtype for dtype in (torch.complex32, torch.complex64, torch.complex128)}


def save_state(path: str | Path, state: Any) -> Path:
    """Writes a state to one file, atomically.

    Args:
        path: The file; an older one is replaced only once the new one is complete.
        state: Dense tensors of any dtype and device, int, float, str, bool, None; and lists, tuples and dicts
            of them, nested as you like. The keys of a dict are strings or ints. A tensor met twice is stored
            twice.

    Returns:
        The path.

    Raises:
        DataError: Something else is in the state; the message says where.
        FileError: The file could not be written.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_encode(state, tensors, "state"), allow_nan=False)
    header = {"format": _FORMAT, "state": structure, "checksum": _checksum(structure, tensors)}
    return write_atomic(path, lambda stream: stream.write(save(tensors, header)))


def load_state(path: str | Path) -> Any:
    """Reads what `save_state` wrote; tensors arrive on the CPU.

    Raises:
        FileError: The file is missing, truncated, altered, or not of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path}: there is no such file; expected a state that gossamer saved")
    try:
        content = path.read_bytes()  # in one go, so that no newer file can come in between
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path}: could not be read ({error}); it is truncated or foreign, delete it") from error
    if header.get("format") != _FORMAT:
        raise FileError(f"{path}: its format is {header.get('format')!r}; expected {_FORMAT!r}, a state of gossamer")
    if header.get("checksum") != _checksum(header.get("state", ""), tensors):
        raise FileError(f"{path}: its checksum does not match; the file was altered, delete it")
    try:
        return _decode(json.loads(header["state"]), tensors)
    except (KeyError, ValueError, TypeError) as error:
        raise FileError(f"{path}: its header is damaged ({error!r}); delete the file") from error


def cloned(state: Any) -> Any:
    """Returns a copy of a nested state that shares no tensor with it.

    >>> state = {"mask": torch.ones(2)}
    >>> copy = cloned(state)
    >>> _ = state["mask"].zero_()
    >>> copy["mask"]
    tensor([1., 1.])
    """
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: cloned(value) for key, value in state.items()}
    if isinstance(state, list):
        return [cloned(value) for value in state]
    if isinstance(state, tuple):
        return tuple(cloned(value) for value in state)
    return state


def _encode(value: Any, tensors: dict[str, Tensor], where: str) -> Any:
    """Returns the JSON form of a value and puts its tensors into `tensors`."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case Tensor():
            if value.layout is not torch.strided or value.is_quantized:
                raise DataError(f"{where} is a {value.layout} tensor; expected a dense one: save its parts")
            name = str(len(tensors))
            flat = value.detach().cpu().contiguous()
            # A copy of its own, for safetensors refuses tensors that share memory. Complex ones go as bytes.
            tensors[name] = (_bytes(flat) if flat.is_complex() else flat).clone()
            return {"complex": [name, str(flat.dtype), list(flat.shape)]} if flat.is_complex() else {"tensor": name}
        case list():
            return [_encode(item, tensors, f"{where}[{i}]") for i, item in enumerate(value)]
        case tuple():
            return {"tuple": [_encode(item, tensors, f"{where}[{i}]") for i, item in enumerate(value)]}
        case dict():
            for key in value:
                if type(key) not in (int, str):
                    raise DataError(f"{where} has the key {key!r}; expected strings or ints")
            return {"dict": [[key, _encode(item, tensors, f"{where}[{key!r}]")] for key, item in value.items()]}
    raise DataError(f"{where} is a {type(value).__name__}; expected tensors, numbers, strings, lists, tuples, dicts")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Returns the value of a JSON form; each object in it has one key, which says what its content is."""
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    [(kind, content)] = value.items()
    decoded: Any
    match kind:
        case "tensor":
            decoded = tensors[content]
        case "complex":
            name, dtype, shape = content
            decoded = tensors[name].view(_COMPLEX[dtype]).reshape(shape)
        case "float":
            decoded = float(content)
        case "tuple":
            decoded = tuple(_decode(item, tensors) for item in content)
        case "dict":
            decoded = {key: _decode(item, tensors) for key, item in content}
        case _:
            raise ValueError(f"unknown kind {kind!r}")
    return decoded


def _bytes(tensor: Tensor) -> Tensor:
    """Returns the bytes of a contiguous tensor, (bytes,) uint8, without copying."""
    return tensor.reshape(-1).view(torch.uint8)


def _checksum(structure: str, tensors: dict[str, Tensor]) -> str:
    checksum = zlib.crc32(structure.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(_bytes(tensors[name]).numpy().data, checksum)
    return f"{checksum:08x}"
