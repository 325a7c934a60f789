"""Loads the native module, without PyTorch.

Two environment variables, read when the module is first needed: `GOSSAMER_NATIVE=0` leaves it aside, and
`GOSSAMER_ISA=avx2` picks an instruction set.
"""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType

from gossamer.errors import SettingError, unknown

INTERFACE = 11  # rises with every change of what the native functions take


@functools.cache
def load() -> tuple[ModuleType | None, str]:
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
        force(module, wanted)
    return module, ""


def force(module: ModuleType, isa: str) -> None:
    """Makes the native module use an instruction set.

    Raises:
        SettingError: This processor lacks it.
    """
    if not module.force(isa):
        raise SettingError(unknown("instruction set of this processor", isa, module.instruction_sets()))
