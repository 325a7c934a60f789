"""Takes the cells of a comparison through their stages, so that each is run by one process and none is run twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from gossamer.compression.cell import Cell, Record, Stage, failed
from gossamer.compression.engines import Engine
from gossamer.compression.folder import Folder
from gossamer.compression.progress import Board
from gossamer.errors import FileError

_AGAIN = 0.5  # seconds between two looks at cells that another process runs


class Sweep:
    """The records of the cells, in memory and on disk, as they go through the stages.

    Args:
        folder: Of the comparison; what is finished there is taken as it is.
        cells: All of them.
        board: Where progress is shown.

    Attributes:
        records: By the cell's id; a cell that failed in an earlier sitting has none until it is tried again.
    """

    def __init__(self, folder: Folder, cells: Sequence[Cell], board: Board) -> None:
        self._folder = folder
        self._cells = cells
        self._board = board
        self._locks: dict[str, contextlib.ExitStack] = {}
        self.records: dict[str, Record] = {}
        for cell in cells:
            record = folder.record(cell)
            if record is not None and record["status"] != "failed":
                self.records[cell.id] = record

    def finished(self) -> tuple[Record, ...]:
        """Returns the records of the cells that are done, in the cells' order."""
        return tuple(self.records[cell.id] for cell in self._cells if _over(self.records.get(cell.id)))

    def run(self, stage: Stage, engine: Engine) -> None:
        """Takes every cell through a stage, or waits for the process that does."""
        waiting = [cell for cell in self._cells if _due(stage, self.records.get(cell.id))]
        self._board.stage(stage, total=len(self._cells), done=len(self._cells) - len(waiting))
        again = False
        while waiting:
            elsewhere: list[Cell] = []
            for cell, record in engine.run(stage, self._claimed(stage, waiting, elsewhere, again=again)):
                self._end(cell, record)
            waiting, again = elsewhere, True
            if waiting:
                time.sleep(_AGAIN)  # with no lock held: whoever waits for one of ours must not wait for us

    def release(self) -> None:
        """Gives back the cells that were not finished."""
        for locks in self._locks.values():
            locks.close()
        self._locks.clear()

    def _claimed(self, stage: Stage, cells: Sequence[Cell], elsewhere: list[Cell], *, again: bool) -> Iterator[Cell]:
        """Yields the cells that this process has locked and that are still due; adds to `elsewhere` what others run.

        At the second look (`again`), a cell that has failed in another process meanwhile has been tried enough.
        """
        for cell in cells:
            locks = contextlib.ExitStack()
            try:
                lock = self._folder.claim(cell)
                if lock is None:
                    elsewhere.append(cell)
                    continue
                locks.callback(lock.release)
                if stage == "measure":
                    locks.enter_context(self._folder.locked("measuring.lock"))
            except FileError as error:
                locks.close()
                self._keep(cell, failed(cell, f"FileError: {error}"))
                continue
            self._locks[cell.id] = locks
            record = self._folder.record(cell)
            if _due(stage, record) and not (again and record is not None and record["status"] == "failed"):
                self._board.began(str(cell))
                yield cell
            else:
                self._keep(cell, record or failed(cell, "its record has vanished from the folder"))

    def _end(self, cell: Cell, record: Record) -> None:
        """Writes a record; where that fails, the cell has failed, and is tried again by the next call."""
        try:
            self._folder.write(cell, record)
        except FileError as error:
            record = failed(cell, f"FileError: {error}")
        self._keep(cell, record)

    def _keep(self, cell: Cell, record: Record) -> None:
        self.records[cell.id] = record
        locks = self._locks.pop(cell.id, None)
        if locks is not None:
            locks.close()
        self._board.ended(str(cell), failed=record["status"] == "failed")


def _over(record: Record | None) -> bool:
    return record is not None and record["status"] == "done"


def _due(stage: Stage, record: Record | None) -> bool:
    """Says whether a cell with this record has to go through a stage."""
    if stage == "train":
        return record is None or record["status"] == "failed"
    return record is not None and record["status"] == "trained"
