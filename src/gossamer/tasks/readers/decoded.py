"""Keeps what takes long to decode: a plain file of arrays in the cache, named by the content it was decoded from.

A file that is damaged, or of other content, is decoded anew; where the cache cannot be written, nothing is kept.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gossamer.errors import FileError
from gossamer.files import sha256, write_atomic
from gossamer.tasks.locate import cache

Decoded = tuple[Tensor, Tensor, list[str]]
"""Pixels (N, C, H, W) uint8, labels (N,) int64, names of the classes."""


def once(path: Path, decode: Callable[[Path], Decoded]) -> Decoded:
    """Returns `decode(path)`, from the cache if a file of the same content was decoded before.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        kept = cache() / "decoded" / f"{sha256(path.read_bytes())}.safetensors"
    except OSError:
        return decode(path)  # which says what is wrong
    known = _read(kept)
    if known is None:
        known = decode(path)
        with contextlib.suppress(FileError):
            _write(kept, known)
    return known


def _write(kept: Path, found: Decoded) -> None:
    pixels, labels, names = found
    facts = {"names": json.dumps(names), "checksum": _checksum(pixels, labels)}
    content = save({"pixels": pixels, "labels": labels}, metadata=facts)
    write_atomic(kept, lambda stream: stream.write(content))


def _read(kept: Path) -> Decoded | None:
    if not kept.is_file():
        return None
    try:
        with safe_open(kept, framework="pt") as file:
            facts, pixels, labels = file.metadata(), file.get_tensor("pixels"), file.get_tensor("labels")
        names = json.loads(facts["names"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
    whole = facts.get("checksum") == _checksum(pixels, labels) and pixels.dtype is torch.uint8
    return (pixels, labels, names) if whole else None


def _checksum(*parts: Tensor) -> str:
    total = 0
    for part in parts:
        total = zlib.crc32(part.contiguous().numpy().data, total)
    return f"{total:08x}"
