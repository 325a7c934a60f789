"""Runs cells in this process, one after another: nothing is sent anywhere, and a debugger sees everything."""

from __future__ import annotations

from collections.abc import Iterator

from gossamer.compression.cell import Cell, Record, Runner, Stage, Work
from gossamer.compression.engines.engine import Engine
from gossamer.compression.folder import Folder


class Inline(Engine):
    """Runs cells in this process, one after another.

    Args:
        work: What the cells share.
        folder: Of the comparison.
    """

    def __init__(self, work: Work, folder: Folder) -> None:
        self._runner = Runner(work)
        self._folder = folder

    def run(self, stage: Stage, cells: Iterator[Cell]) -> Iterator[tuple[Cell, Record]]:
        """As `Engine.run`."""
        for cell in cells:
            yield cell, self._runner.run(stage, cell, self._folder.of(cell))

    def close(self, *, interrupted: bool) -> None:
        """As `Engine.close`: nothing runs any more, and training has saved by itself."""
