"""Finds the files of named data sets: in the data folder, in the cache, or by a download into the cache.

Both folders have the same layout (`planetoid/Cora/raw/ind.cora.x`, `tudataset/MUTAG/raw/...`). The data
folder is named by the environment variable GOSSAMER_DATA and is only ever read. The cache is $GOSSAMER_CACHE,
or the usual place of the operating system. A download goes to a temporary name and is renamed when it is
whole.
"""

from __future__ import annotations

import http.client
import io
import os
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gossamer.errors import DataError, FileError
from gossamer.files import write_atomic

TIMEOUT_SECONDS = 20.0


def cache() -> Path:
    """Returns the folder that downloads go to; it need not exist yet."""
    if named := os.environ.get("GOSSAMER_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "gossamer"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gossamer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gossamer"


def folders() -> list[Path]:
    """Returns the folders searched, in order: $GOSSAMER_DATA if it is set, then the cache."""
    data = os.environ.get("GOSSAMER_DATA")
    return [Path(data), cache()] if data else [cache()]


def find(file: str) -> Path | None:
    """Returns where a file, relative to the folders searched, is; None if it is in none."""
    for folder in folders():
        if (folder / file).is_file():
            return folder / file
    return None


def locate(name: str, files: Sequence[str], url: Callable[[str], str] | None = None) -> list[Path]:
    """Returns the paths of all files of a data set, downloading those that are missing if `url` says whence.

    Args:
        name: The data set, for messages.
        files: Paths relative to the folders searched.
        url: Maps such a path to where it can be downloaded; None where there is no public place.

    Raises:
        DataError: A file is nowhere, and could not be downloaded; says which, where it was looked for and
            why.
    """
    return [find(file) or _fetch(name, file, url) for file in files]


def _fetch(name: str, file: str, url: Callable[[str], str] | None) -> Path:
    reason = "there is no public download of it"
    if url is not None:
        try:
            return download(url(file), cache() / file)
        except FileError as error:
            reason = f"the download failed ({error})"
    searched = " or ".join(str(folder) for folder in folders())
    raise DataError(
        f"{name}: found no {file} in {searched}, and {reason}; put the file there,"
        f" or set GOSSAMER_DATA to a folder that has it"
    )


def download(url: str, path: Path) -> Path:
    """Downloads a file, whole or not at all; a server that is silent for 20 seconds is given up.

    Args:
        url: The address; `archive.zip#folder/member` means one member of a zip archive.
        path: Where to put it; the folder is made.

    Raises:
        FileError: The network, the archive or the disk failed.
    """
    address, _, member = url.partition("#")
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:
            content = answer.read()
        if member:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(member)
    except (OSError, ValueError, KeyError, http.client.HTTPException, zipfile.BadZipFile) as error:
        raise FileError(f"{url}: {error}") from error
    return write_atomic(path, lambda stream: stream.write(content))
