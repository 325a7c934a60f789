"""A worker process: runs the cells it is told to, one after another, until its parent closes the connection or dies.

It is a plain Python started on this module, not a fork and not `multiprocessing`'s spawn: nothing is inherited that
could be locked half-way, and a script without an `if __name__ == "__main__"` is not run a second time.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from gossamer.compression.cell import Log, Runner
from gossamer.compression.engines.engine import unpickled


def main(descriptor: int) -> None:
    """Talks over a socket: says "ready", takes the work, then (stage, number of the cell, its folder) for a record."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started with it ignored
    faulthandler.enable()
    with contextlib.suppress(KeyboardInterrupt, EOFError, ConnectionError), Connection(descriptor) as parent:
        parent.send(("ready", None))
        try:
            work, cells = unpickled(parent.recv_bytes())
        except Exception as error:
            parent.send(("broken", f"{type(error).__name__}: {error}"))
            return
        runner = Runner(work)
        while True:
            stage, number, folder = parent.recv()
            with output_to(Path(folder) / Log.NAME):
                record = runner.run(stage, cells[number], Path(folder))
            parent.send(("record", record))


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Adds to a file what this process, native code included, says on standard output and error in the block.

    A warning that was given before is given again, so that every cell's log has its own. Where the file cannot be
    written, what is said is lost.
    """
    _flush()
    kept = os.dup(1), os.dup(2)
    try:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError:
        target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        _flush()
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


def _die_with_parent() -> None:
    """Waits for the end of standard input, whose other end only the parent has."""
    while os.read(0, 1024):
        pass
    os._exit(1)
