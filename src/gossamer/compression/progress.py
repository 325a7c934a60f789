"""The progress of a comparison on a terminal: cells done, running, failed, and the time that is left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_WHOLE_RUN = 1e9  # seconds over which the speed is averaged: cells may take hours each


class Board:
    """One line a stage, shown while the `with` block lasts; nothing where standard error is no terminal.

    Args:
        shown: Whether to show anything.
    """

    def __init__(self, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[now]}"),
            console=Console(file=sys.stderr),  # this very stream: a cell may redirect the name
            disable=not shown,
            transient=True,
            speed_estimate_period=_WHOLE_RUN,
        )
        self._row = TaskID(0)
        self._running: list[str] = []
        self._failed = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begins a line; the ones before stay."""
        self._running, self._failed = [], 0
        self._row = self._progress.add_task(name, total=total, completed=done, state="", now="")

    def began(self, name: str) -> None:
        """Something with this name runs now."""
        self._running.append(name)
        self._show()

    def ended(self, name: str, *, failed: bool = False) -> None:
        """It is over."""
        if name in self._running:
            self._running.remove(name)
        self._failed += failed
        self._progress.advance(self._row)
        self._show()

    def _show(self) -> None:
        state = f"{len(self._running)} running" + (f", {self._failed} failed" if self._failed else "")
        self._progress.update(self._row, state=state, now=self._running[0] if self._running else "")
