"""The bytes of a file, compressed or not, in blocks that end where a line ends.

What compressed a file is read from its first bytes, not from its name, so a renamed file is read all the
same. Blocks bound the memory that reading takes beyond its result, whatever the size of the file.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from gossamer.errors import FileError

BLOCK_BYTES = 32 * 2**20

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}


def blocks(path: Path, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yields the decompressed content of a file in order, each block but the last ending in a newline.

    Args:
        path: The file; gzip, Zstandard, xz and bzip2 are seen by their first bytes.
        size: Bytes a block, more only where a single line is longer.

    Raises:
        FileError: The file is missing, may not be read, or its compressed content is truncated or damaged.
    """
    kind: str | None = None
    try:
        with path.open("rb") as raw:
            start = raw.read(6)
            kind = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)
            raw.seek(0)
            with _decompressed(raw, kind) as stream:
                yield from _cut(stream, size)
    except (OSError, EOFError, lzma.LZMAError) as error:
        if kind is None:
            reason = getattr(error, "strerror", None) or str(error)
            raise FileError(f"{path}: could not be read ({reason}); check the name and the permissions") from error
        raise FileError(
            f"{path}: its {kind} content is truncated or damaged ({error}); fetch the file again"
        ) from error


def _decompressed(raw: Any, kind: str | None) -> Any:
    if kind is None:
        return raw
    return lzma.open(raw, "rb") if kind == "xz" else pa.CompressedInputStream(raw, kind)


def _cut(stream: Any, size: int) -> Iterator[bytes]:
    """Yields what a stream holds, cut behind the last newline of each `size` bytes; the last block takes the rest."""
    parts: list[bytes] = []
    chunk = _fill(stream, size)
    while chunk:
        following = _fill(stream, size)
        cut = chunk.rfind(b"\n") + 1 if following else len(chunk)
        if cut:
            yield b"".join([*parts, chunk[:cut]])
            parts = []
        parts.append(chunk[cut:])
        chunk = following


def _fill(stream: Any, size: int) -> bytes:
    """Returns the next `size` bytes, less only at the end; one read may stop where a compressed member does."""
    parts: list[bytes] = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
