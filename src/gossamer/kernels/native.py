"""Finds the native kernels, says which instruction set they use, and why they are absent where they are.

`gossamer._native` holds every kernel once per instruction set and picks the best one that this processor has.
Two environment variables, read when the module is first needed, overrule that: `GOSSAMER_NATIVE=0` leaves the
native kernels aside, `GOSSAMER_ISA=avx2` picks an instruction set. Without native kernels everything still works,
through the pure-torch reference of each operation.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Iterator
from types import ModuleType

import torch  # first, so that torch and the kernels share one OpenMP runtime and its threads

from gossamer.errors import SettingError, unknown

_LARGE = 1 << 23  # bytes from which on pages matter
INTERFACE = 10  # rises with every change of what the native functions take


@functools.cache
def _load() -> tuple[ModuleType | None, str]:
    """Returns the native module and "", or None and the reason for its absence."""
    if os.environ.get("GOSSAMER_NATIVE") == "0":
        return None, "GOSSAMER_NATIVE=0 is set"
    try:
        module = importlib.import_module("gossamer._native")
    except ImportError as error:
        return None, f"gossamer was installed without its native kernels ({error})"
    found = getattr(module, "interface", 0)
    if found != INTERFACE:
        return None, f"gossamer._native speaks version {found}, expected {INTERFACE}; reinstall gossamer"
    wanted = os.environ.get("GOSSAMER_ISA")
    if wanted:
        _force(module, wanted)
    return module, ""


def _force(module: ModuleType, isa: str) -> None:
    if not module.force(isa):
        raise SettingError(unknown("instruction set of this processor", isa, module.instruction_sets()))


def kernels() -> ModuleType | None:
    """Returns the module of native kernels, or None where there is none."""
    return _load()[0]


def address(tensor: torch.Tensor | None) -> int:
    """Returns where the numbers of a tensor begin; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def contiguous(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Returns a tensor with its numbers side by side; None for None."""
    return None if tensor is None else tensor.contiguous()


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Returns a tensor as `torch.empty`, on large pages where it is large and the system grants them.

    Rows that are read in random order, as those of neighbours are, come up to twice as fast from there.
    """
    out = torch.empty(shape, dtype=dtype)
    module = kernels()
    if module is not None and out.nbytes >= _LARGE:
        module.prefer_large_pages(out.data_ptr(), out.nbytes)
    return out


def available() -> bool:
    """Says whether the native kernels are there and allowed."""
    return _load()[0] is not None


def why_unavailable() -> str:
    """Returns why there are no native kernels, in one sentence; "" where there are."""
    return _load()[1]


def instruction_sets() -> tuple[str, ...]:
    """Returns the instruction sets that this build and this processor share, best first; () without kernels."""
    module = kernels()
    return tuple(module.instruction_sets()) if module else ()


def isa() -> str:
    """Returns the instruction set in use; "none" without native kernels.

    "avx512vnni" (with byte products and bit counts), "avx512", "avx2" or "baseline".
    """
    module = kernels()
    return str(module.isa()) if module else "none"


@contextlib.contextmanager
def force(isa: str) -> Iterator[None]:
    """Uses another instruction set inside a `with` block; for tests and benchmarks.

    The choice holds for the whole process, not for one thread.

    Args:
        isa: One of `instruction_sets()`.

    Raises:
        SettingError: There are no native kernels, or this processor lacks the instruction set.
    """
    module = kernels()
    if module is None:
        raise SettingError(f"instruction set {isa!r} asked for, but there are no native kernels: {why_unavailable()}")
    before = module.isa()
    _force(module, isa)
    try:
        yield
    finally:
        _force(module, before)
