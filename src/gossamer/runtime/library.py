"""Where the C library is that runs .gsm files, and its header."""

from __future__ import annotations

from pathlib import Path

from gossamer import extension
from gossamer.errors import ModelError


def include_folder() -> Path:
    """Returns the folder that holds `gossamer.h`.

    Raises:
        ModelError: Gossamer was installed without its native parts.
    """
    return _installed("include/gossamer.h").parent


def library() -> Path:
    """Returns the shared library `libgossamer`, which needs neither Python nor PyTorch.

    Raises:
        ModelError: Gossamer was installed without its native parts.
    """
    return _installed("lib/libgossamer.so")


def _installed(name: str) -> Path:
    module, why = extension.load()
    if module is None or module.__file__ is None:
        raise ModelError(f"the C library is not there: {why}")
    path = Path(module.__file__).parent / name
    if not path.exists():
        raise ModelError(f"{path} is not there; reinstall gossamer")
    return path
