"""Writes files so that no reader ever sees half of one.

A file is written under a temporary name in its own folder, synced to disk and renamed.
If anything fails on the way (a full disk, a kill), the old file, if any, is still there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from gossamer.errors import FileError


def write_atomic(path: str | Path, write: Callable[[BinaryIO], object]) -> Path:
    """Calls `write(stream)` on a temporary file and renames it to `path`.

    Args:
        path: The final name; its folder is made if it is not there.
        write: Writes the content to the binary stream it is given.

    Returns:
        The final path.

    Raises:
        FileError: The folder or file could not be written (the system's reason is in the message);
            nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path}: could not be written ({reason}); free space or choose another folder") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Writes `text` as UTF-8, whole or not at all. Raises `FileError` as `write_atomic` does."""
    return write_atomic(path, lambda stream: stream.write(text.encode()))


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value` as indented JSON, whole or not at all; NaN is refused, so readers never meet it."""
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileError: The file is missing or is not JSON; the message names the file and the place.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error})") from error
    except ValueError as error:
        raise FileError(f"{path}: is not JSON ({error}); it may be truncated or foreign") from error


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
