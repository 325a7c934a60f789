"""Reads the bodies of requests into arrays that fit a network, and writes answers in the same form.

JSON is `{"inputs": {"x": [[...]]}}` and `{"outputs": {"output": [[...]]}}`. A .npy array is taken by networks of one
input and one output. Everything is checked against the signature before there is an array of it.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gossamer.errors import DataError
from gossamer.runtime import Network, Port

JSON, NPY = "application/json", "application/x-npy"
_LONGEST_NUMBER = 32  # characters of a number in JSON, with what stands around it
_LEAST_BODY, _FREE_BODY = 1 << 16, 1 << 24  # bytes: at least; and where sizes are free


def most_bytes(network: Network, rows: int) -> int:
    """Returns how large a body may be: what so many rows take in JSON; 16 MiB where other sizes are free too.

    Args:
        network: Whose inputs the body holds.
        rows: Of the batch.
    """
    sizes = [size for port in network.inputs for size in port.shape[1:]]
    if not all(isinstance(size, int) for size in sizes):
        return _FREE_BODY
    numbers = sum(math.prod(size for size in port.shape[1:] if isinstance(size, int)) for port in network.inputs)
    return _LEAST_BODY + rows * numbers * _LONGEST_NUMBER


def read_json(network: Network, body: bytes) -> list[np.ndarray[Any, Any]]:
    """Returns the arrays of a JSON body, in the order of the inputs.

    Raises:
        DataError: It is no JSON, or does not fit the network's signature.
    """
    try:
        found = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise DataError("the body is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"the body is no JSON: {error}") from None
    given = found.get("inputs") if isinstance(found, dict) else None
    if not isinstance(given, dict):
        raise DataError('expected {"inputs": {"NAME": numbers}}')
    names = [port.name for port in network.inputs]
    if set(given) != set(names):
        raise DataError(f"found inputs {', '.join(sorted(map(repr, given)))[:200]}; expected {', '.join(names)}")
    arrays = [_from_lists(port, given[port.name]) for port in network.inputs]
    return _fitting(network, arrays)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _from_lists(port: Port, given: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(given)
    except (ValueError, OverflowError, RecursionError):
        raise DataError(f"{port.name}: rows differ in length, or are nested too deeply; expected {port}") from None
    kinds = {"float32": "iuf", "bool": "b"}.get(port.dtype, "iu")
    if array.size and array.dtype.kind not in kinds:
        raise DataError(f"{port.name}: found other things than numbers; expected {port}")
    with np.errstate(over="ignore"):
        cast = array.astype(port.dtype)
    exact = np.isfinite(cast).all() if port.dtype == "float32" else np.array_equal(cast, array)
    if not exact:
        raise DataError(f"{port.name}: a number is too large for {port.dtype}")
    return cast


def read_npy(network: Network, body: bytes) -> list[np.ndarray[Any, Any]]:
    """Returns the array of a .npy body.

    Raises:
        DataError: It is none, or does not fit the network's signature.
    """
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in {(1, 0), (2, 0)}:
            raise DataError(f"the body is .npy of version {version}; expected 1.0 or 2.0")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except DataError:
        raise
    except Exception:  # the header is a literal of Python, so its parser's errors are of many kinds
        raise DataError("the body is no .npy array") from None
    port = network.inputs[0]
    if dtype != np.dtype(port.dtype):
        raise DataError(f"{port.name}: found {dtype}; expected {port}")
    left = len(body) - stream.tell()
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != left:
        raise DataError(f"the body has {left} bytes after its header, which says {shape}")
    array = np.frombuffer(body, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")
    return _fitting(network, [np.array(array, order="C")])


def _fitting(network: Network, arrays: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Checks the shapes against the signature."""
    sizes: dict[str, int] = {}
    for port, array in zip(network.inputs, arrays, strict=True):
        fits = array.ndim == len(port.shape)
        for size, expected in zip(array.shape, port.shape, strict=False):
            known = sizes.setdefault(expected, size) if isinstance(expected, str) else expected
            fits = fits and size == known
        if not fits:
            raise DataError(f"{port.name}: found shape {array.shape}; expected {port}")
        if array.ndim and array.shape[0] == 0:
            raise DataError(f"{port.name}: has no rows")
    return arrays


def write_json(network: Network, arrays: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """Returns outputs as JSON.

    Raises:
        DataError: A number is not finite, which JSON cannot say.
    """
    outputs = {port.name: array.tolist() for port, array in zip(network.outputs, arrays, strict=True)}
    try:
        return json.dumps({"outputs": outputs}, allow_nan=False).encode()
    except ValueError:
        raise DataError("an output is not finite, which JSON cannot say; check the inputs, or ask with .npy") from None


def write_npy(arrays: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """Returns the one output as .npy."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, arrays[0], version=(1, 0), allow_pickle=False)
    return stream.getvalue()
