"""Runs cells on a Ray cluster that is there already; what is timed is timed here, on one machine.

A cell runs in a folder of its own on whichever machine Ray chooses, and its record, network and log come back to be
written here: the machines need no common file system. An actor lives as long as the comparison, as a local worker
does. Every machine needs gossamer, and the modules that the model's factory and the task come from.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gossamer.compression.cell import Cell, Log, Record, Runner, Stage, Work, failed
from gossamer.compression.engines.engine import Engine, paths, pickled, unpickled
from gossamer.compression.engines.inline import Inline
from gossamer.compression.engines.worker import output_to
from gossamer.compression.folder import Folder
from gossamer.errors import FileError, MissingExtraError, SettingError
from gossamer.files import write_atomic

_NETWORK = "model.gossamer"


class Ray(Engine):
    """Runs cells on the Ray cluster that this process is connected to, that RAY_ADDRESS names, or that runs here.

    Args:
        work: What the cells share; it is sent to each actor once.
        cells: All that may be asked for.
        folder: Of the comparison.
        at_most: Cells at once; None for as many as the cluster has processors for.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingError: There is no cluster, or the work cannot be sent to another process.
    """

    def __init__(self, work: Work, cells: Sequence[Cell], folder: Folder, *, at_most: int | None) -> None:
        try:
            import ray as library
        except ImportError as error:
            raise MissingExtraError(
                "engine='ray' needs Ray; install it with: pip install 'gossamer[cluster]'"
            ) from error
        ray: Any = library  # without types of its own
        self._ray = ray
        content = pickled(work, cells)
        self._connected_here = not ray.is_initialized()
        if self._connected_here:
            try:
                ray.init(address="auto", log_to_driver=False)
            except (ConnectionError, RuntimeError) as error:
                raise SettingError(
                    "no Ray cluster is running here; start one with `ray start --head`, or name one in RAY_ADDRESS"
                ) from error
        self._numbers = {cell.id: number for number, cell in enumerate(cells)}
        self._folder = folder
        self._inline = Inline(work, folder)
        processors = int(ray.cluster_resources().get("CPU", 1))
        self._at_most = at_most or max(1, processors // work.threads)
        self._content = ray.put(content)
        self._actor = ray.remote(num_cpus=work.threads, max_restarts=0)(Actor)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Cell]] = {}

    def run(self, stage: Stage, cells: Iterator[Cell]) -> Iterator[tuple[Cell, Record]]:
        """As `Engine.run`; measures in this process."""
        if stage == "measure":
            yield from self._inline.run(stage, cells)
            return
        more = True
        while True:
            while more and len(self._busy) < self._at_most:
                cell = next(cells, None)
                more = cell is not None
                if cell is not None:
                    actor = self._idle.pop() if self._idle else self._actor.remote(self._content, paths())
                    self._busy[actor.run.remote(stage, self._numbers[cell.id])] = (actor, cell)
            if not self._busy:
                return
            ready, _ = self._ray.wait(list(self._busy))
            for result in ready:
                actor, cell = self._busy.pop(result)
                yield cell, self._received(result, actor, cell)

    def close(self, *, interrupted: bool) -> None:
        """As `Engine.close`; a cell under way is lost, as it has saved to a folder that goes with it."""
        del interrupted
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            self._ray.kill(actor)
        self._idle.clear()
        self._busy.clear()
        if self._connected_here:
            self._ray.shutdown()

    def _received(self, result: Any, actor: Any, cell: Cell) -> Record:
        """Writes a cell's network and log and returns its record."""
        folder = self._folder.of(cell)
        try:
            record, network, log = self._ray.get(result)
        except self._ray.exceptions.RayTaskError as error:  # the work does not load there
            raise SettingError(
                f"the cluster cannot run the cells ({error.cause!r}); install gossamer and the modules of the model's"
                " factory and of the task on every machine"
            ) from error
        except self._ray.exceptions.RayError as error:
            return failed(cell, f"the cluster lost the cell: {type(error).__name__}: {error}")
        self._idle.append(actor)
        with contextlib.suppress(OSError), (folder / Log.NAME).open("a", encoding="utf-8") as stream:
            stream.write(log)
        if network is not None:
            try:
                write_atomic(folder / _NETWORK, lambda stream: stream.write(network))
            except FileError as error:
                return failed(cell, f"FileError: {error}")
        found: Record = record
        return found


class Actor:
    """Runs cells on a machine of the cluster, one after another.

    Args:
        content: What `pickled` made.
        paths: Where the driver finds modules; those places that there are here are looked at last.
    """

    def __init__(self, content: bytes, paths: Sequence[str]) -> None:
        sys.path += [path for path in paths if path not in sys.path and Path(path).exists()]
        self._content = content
        self._loaded: tuple[Runner, tuple[Cell, ...]] | None = None

    def run(self, stage: Stage, number: int) -> tuple[Record, bytes | None, str]:
        """Returns a cell's record, the content of its network's file (None if it failed) and its log."""
        if self._loaded is None:  # not when it is made, for then Ray would say no more than that the actor died
            work, cells = unpickled(self._content)
            self._loaded = Runner(work), cells
        runner, cells = self._loaded
        with tempfile.TemporaryDirectory(prefix=f"gossamer-{os.getpid()}-") as name:
            folder = Path(name)
            log = folder / Log.NAME
            with output_to(log):
                record = runner.run(stage, cells[number], folder)
            network = folder / _NETWORK
            return (
                record,
                network.read_bytes() if network.exists() else None,
                log.read_text(encoding="utf-8", errors="replace") if log.exists() else "",
            )
