"""The folder of a comparison: where its records, networks and locks lie, safe from kills, full disks and each other.

    cells/<id>/cell.json         the record of a cell; missing until a stage is over
    cells/<id>/model.gossamer    its network
    cells/<id>/log.txt           what it said
    cells/<id>/checkpoints/      while it trains
    cells/<id>/lock              locked by the process that runs it
    settings/<id>.json           what the search for a budget found
    measuring.lock               locked by the process that takes times

A record is written whole or not at all, and only by the process that holds the cell's lock. The locks are the
kernel's, which frees them when their process ends, however it ends; a lock file that lies there means nothing.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from gossamer.compression.cell import Cell, Record
from gossamer.errors import FileError
from gossamer.files import read_json, write_json

_STATUSES = ("done", "failed", "trained")


class Folder:
    """The folder of one comparison; several processes may have it open.

    Args:
        path: The folder; need not be there yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def of(self, cell: Cell) -> Path:
        """Returns the cell's own folder."""
        return self.path / "cells" / cell.id

    def record(self, cell: Cell) -> Record | None:
        """Reads the cell's record; None where there is none.

        Raises:
            FileError: The file is foreign or damaged.
        """
        path = self.of(cell) / "cell.json"
        if not path.exists():
            return None
        record = read_json(path)
        if not isinstance(record, dict) or record.get("status") not in _STATUSES:
            raise FileError(f"{path}: is not a cell of a comparison; choose another output folder")
        return record

    def write(self, cell: Cell, record: Record) -> None:
        """Writes the cell's record, and drops the checkpoints that it makes useless.

        Raises:
            FileError: It could not be written.
        """
        write_json(self.of(cell) / "cell.json", record)
        if record["status"] != "failed":
            shutil.rmtree(self.of(cell) / "checkpoints", ignore_errors=True)

    def claim(self, cell: Cell) -> BaseFileLock | None:
        """Locks the cell, or returns None where another process has.

        Raises:
            FileError: The lock could not be made, for example as the disk is full.
        """
        path = self.of(cell) / "lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            raise FileError(f"{path}: could not be locked ({error.strerror or error}); free space") from error
        return lock

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Waits for the lock file of this name in the folder, and holds it for the block.

        Raises:
            FileError: The lock could not be made.
        """
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire()
        except OSError as error:
            raise FileError(f"{path}: could not be locked ({error.strerror or error}); free space") from error
        try:
            yield
        finally:
            lock.release()
