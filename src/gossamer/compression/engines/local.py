"""Runs cells in worker processes on this machine, never more of them than memory holds.

A worker lives as long as the comparison, so that libraries are imported and tasks made once in each. The first one
shows what a cell takes; others join while there is room for as much again (see `memory`). A worker that dies takes
its cell with it and nothing else: the cell's record says how it died.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

from gossamer import machine
from gossamer.compression.cell import Cell, Record, Stage, Work, failed
from gossamer.compression.engines.engine import Engine, paths, pickled
from gossamer.compression.engines.memory import Memory
from gossamer.compression.folder import Folder
from gossamer.errors import SettingError

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[2])\n"
_START += "from gossamer.compression.engines.worker import main; main(int(sys.argv[1]))"
_TICK = 0.25  # seconds between two looks at the memory
_SAVING = 60.0  # seconds that an interrupted cell has to finish its step and save
_LEAVING = 5.0  # seconds that an idle worker has to end


class Local(Engine):
    """Runs cells in worker processes on this machine.

    Args:
        work: What the cells share; it is sent to each worker once.
        cells: All that may be asked for.
        folder: Of the comparison; workers write networks, checkpoints and logs there themselves.
        at_most: Workers at once; None for one for each of the cores that `work.threads` leaves.
        memory: What decides whether another worker fits.

    Raises:
        SettingError: The work cannot be sent to another process.
    """

    def __init__(
        self, work: Work, cells: Sequence[Cell], folder: Folder, *, at_most: int | None, memory: Memory | None = None
    ) -> None:
        self._content = pickled(work, cells)
        self._numbers = {cell.id: number for number, cell in enumerate(cells)}
        self._folder = folder
        self._at_most = at_most or max(1, machine.cores() // work.threads)
        self._memory = memory or Memory()
        self._workers: list[_Worker] = []
        self._finished = False  # whether a cell has shown what it takes, from its beginning to its end

    def run(self, stage: Stage, cells: Iterator[Cell]) -> Iterator[tuple[Cell, Record]]:
        """As `Engine.run`.

        Raises:
            SettingError: A worker could not start, or cannot load the work.
        """
        limit = self._at_most if stage == "train" else 1
        more = True
        while True:
            while more and self._room(limit):
                cell = next(cells, None)
                more = cell is not None
                if cell is not None:
                    worker = next((worker for worker in self._workers if worker.cell is None), None)
                    (worker or self._start()).begin(stage, cell)
            busy = {worker.connection: worker for worker in self._workers if worker.cell is not None}
            if not busy:
                return
            for ready in wait(list(busy), timeout=_TICK):
                worker = busy[ready]  # type: ignore[index]
                cell = worker.cell
                record = self._heard(worker)
                if cell is not None and record is not None:
                    limit = min(limit, self._at_most)
                    yield cell, record
            self._memory.watch([worker.process.pid for worker in self._workers])

    def close(self, *, interrupted: bool) -> None:
        """As `Engine.close`."""
        try:
            for worker in self._workers:
                worker.leave(interrupted=interrupted)
            end = time.monotonic() + (_SAVING if interrupted else _LEAVING)
            for worker in self._workers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, end - time.monotonic()))
        finally:  # also at a second Ctrl-C
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    def _room(self, limit: int) -> bool:
        """Says whether a cell could begin now; lets an idle worker go where memory is short."""
        idle = [worker for worker in self._workers if worker.cell is None]
        if idle and len(self._workers) > 1 and self._memory.short():
            self._workers.remove(idle[0])
            idle[0].end()
            return self._room(limit)
        busy = len(self._workers) - len(idle)
        if busy >= limit:
            return False
        if idle or not self._workers:
            return True
        known = self._finished or self._memory.steady()
        return known and self._memory.fits_another([worker.process.pid for worker in self._workers])

    def _start(self) -> _Worker:
        worker = _Worker(self._content, self._numbers, self._folder)
        self._workers.append(worker)
        return worker

    def _heard(self, worker: _Worker) -> Record | None:
        """Takes a worker's message; returns the record of its cell if the cell is over."""
        try:
            kind, value = worker.connection.recv()
        except (EOFError, ConnectionError):
            return self._buried(worker)
        if kind == "broken":
            raise SettingError(
                f"a worker process cannot load the model's factory or the task ({value}); make their modules"
                " importable there, or take engine='inline'"
            )
        if kind == "ready":
            worker.ready()
            return None
        self._memory.watch([worker.process.pid])
        self._finished = True
        worker.cell = None
        record: Record = value
        return record

    def _buried(self, worker: _Worker) -> Record:
        """Takes leave of a worker that has died; returns the record of the cell it died of."""
        self._workers.remove(worker)
        code, said = worker.process.wait(), worker.said()
        worker.end()
        if code > 0 and worker.starting:
            raise SettingError(f"a worker process could not start ({said}); take engine='inline'")
        if code == -signal.SIGKILL:
            self._at_most = max(1, len(self._workers))
        assert worker.cell is not None
        return failed(worker.cell, f"the worker process {_end(code)}")


class _Worker:
    """A worker process, and the cell it is at."""

    def __init__(self, content: bytes, numbers: dict[str, int], folder: Folder) -> None:
        ours, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-c", _START, str(theirs.fileno()), json.dumps(paths())],
                stdin=subprocess.PIPE,  # its end tells the worker that this process is gone
                stdout=self._said,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for this process, which passes it on once
            )
        self.connection = Connection(ours.detach())
        self.cell: Cell | None = None
        self.starting = True
        self._content = content
        self._numbers = numbers
        self._folder = folder
        self._stage: Stage = "train"

    def begin(self, stage: Stage, cell: Cell) -> None:
        """Gives it a cell to run, as soon as it has started."""
        self._stage, self.cell = stage, cell
        if not self.starting:
            self._send()

    def ready(self) -> None:
        """It has started: gives it the work, and the cell that waits for it."""
        self.starting = False
        with contextlib.suppress(ConnectionError):  # that it died is heard next
            self.connection.send_bytes(self._content)
        self._send()

    def leave(self, *, interrupted: bool) -> None:
        """Asks it to end: at once if idle, after saving if interrupted at a cell; otherwise ends it."""
        if self.cell is None or self.starting:
            self.connection.close()
        elif interrupted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGINT)
        else:
            self.process.kill()

    def end(self) -> None:
        """Ends it, whatever it is at."""
        self.connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._said.close()

    def said(self) -> str:
        """Returns the last line it said outside of cells."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _send(self) -> None:
        assert self.cell is not None
        with contextlib.suppress(ConnectionError):
            self.connection.send((self._stage, self._numbers[self.cell.id], str(self._folder.of(self.cell))))


def _end(code: int) -> str:
    """Says how a process ended."""
    if code == -signal.SIGKILL:
        return "was killed, probably as memory ran out"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}; its last words are in the cell's log"
    return f"ended by itself with code {code}; its last words are in the cell's log"
