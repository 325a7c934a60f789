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
    return _installed("include", "gossamer.h").parent


def library() -> Path:
    """Returns the shared library `libgossamer`, which needs the runtimes of C++ and OpenMP and nothing else.

    Raises:
        ModelError: Gossamer was installed without its native parts.
    """
    return _installed("lib", "libgossamer.*")


def _installed(folder: str, name: str) -> Path:
    module, why = extension.load()
    if module is None or module.__file__ is None:
        raise ModelError(f"the C library is not there: {why}")
    place = Path(module.__file__).parent / folder
    found = sorted(place.glob(name))
    if not found:
        raise ModelError(f"{place / name} is not there; reinstall gossamer")
    return found[0]
