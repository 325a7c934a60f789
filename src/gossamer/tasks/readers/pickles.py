"""Reads the arrays in old pickle files without running anything that the file names.

A pickle may name any callable, which loading then calls. Here every name outside a short list is refused, and what
is on the list does not reach numpy's or scipy's own unpickling: arrays, types and matrices are read as small records
of this file that only hold what the pickle says, and are turned into arrays afterwards, with their sizes checked.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gossamer.errors import DataError, FileError

R = TypeVar("R")
T = TypeVar("T")


class _DType:
    """A number type: a code such as "f4", completed by the byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        if self.code[0] not in "fiub":
            raise DataError(f"it holds an array of type {self.code!r}, expected numbers")
        return np.dtype(self.order + self.code)


class _Array:
    """An array's shape, type and bytes."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.type, self.by_column, self.data = state

    def array(self) -> NDArray[Any]:
        dtype = self.type.dtype()
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        values = np.frombuffer(data, dtype).reshape(self.shape, order="F" if self.by_column else "C")
        return values.astype(dtype.newbyteorder("="))


class _Matrix:
    """The attributes of a scipy CSR matrix."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def matrix(self) -> sparse.csr_matrix:
        parts = tuple(self.state[name].array() for name in ("data", "indices", "indptr"))
        matrix = sparse.csr_matrix(parts, shape=self.state["_shape"])
        matrix.check_format(full_check=True)
        return matrix


class _Lists(dict[int, list[int]]):
    """A dictionary of lists."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        raise DataError("it gives a dictionary attributes, expected keys and values only")

    def lists(self) -> dict[int, list[int]]:
        for key, found in self.items():
            if type(key) is not int or type(found) is not list or any(type(item) is not int for item in found):
                raise DataError(f"its entry {key!r} is not a list of integers")
        return dict(self)


# Classes only: a pickle can set attributes on a function, but not on a class that has its own __setstate__.
_ADMITTED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("scipy.sparse.csr", "csr_matrix"): _Matrix,
    ("scipy.sparse._csr", "csr_matrix"): _Matrix,
    ("collections", "defaultdict"): _Lists,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DataError(f"it names {module}.{name}, expected numpy arrays, CSR matrices and lists only")
        return _ADMITTED[module, name]


def read_array(path: Path) -> NDArray[Any]:
    """Reads one pickled array of numbers.

    Raises:
        DataError: The file is damaged or holds or names anything else; nothing of it has been run.
        FileError: The file cannot be read.
    """
    return _read(path, _Array, _Array.array, "an array")


def read_matrix(path: Path) -> sparse.csr_matrix:
    """Reads one pickled CSR matrix; raises as `read_array` does."""
    return _read(path, _Matrix, _Matrix.matrix, "a CSR matrix")


def read_lists(path: Path) -> dict[int, list[int]]:
    """Reads one pickled `defaultdict` of lists of integers; raises as `read_array` does."""
    return _read(path, _Lists, _Lists.lists, "a dictionary of lists")


def _read(path: Path, record: type[R], convert: Callable[[R], T], expected: str) -> T:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error})") from error
    try:
        value = _Unpickler(io.BytesIO(raw), encoding="latin1").load()
        if isinstance(value, record):
            return convert(value)
    except DataError as error:
        raise DataError(f"{path}: refused, because {error}; get the original file") from error
    except Exception as error:  # what a damaged pickle makes the unpickler raise is not bounded
        raise DataError(f"{path}: is not a readable pickle ({error}); it may be truncated") from error
    raise DataError(f"{path}: holds a {type(value).__name__.strip('_').lower()}, expected {expected}")
