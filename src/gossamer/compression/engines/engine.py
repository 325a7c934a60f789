"""What every engine does: it takes cells through a stage and hands back their records as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from gossamer.errors import SettingError, unknown

if TYPE_CHECKING:
    from gossamer.compression.cell import Cell, Record, Stage, Work
    from gossamer.compression.folder import Folder

ENGINES = ("local", "inline", "ray")


class Engine(ABC):
    """Runs cells while its `with` block lasts; which engine it is changes no result.

    A cell that fails gives a record with the status "failed". What an engine raises ends the comparison.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(interrupted=kind is not None and issubclass(kind, KeyboardInterrupt))

    @abstractmethod
    def run(self, stage: Stage, cells: Iterator[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Takes cells through a stage and yields their records in the order they end.

        Args:
            stage: "train" runs several at once where the engine can, "measure" one at a time.
            cells: A cell is taken from it when there is somebody to run it, not before.
        """

    @abstractmethod
    def close(self, *, interrupted: bool) -> None:
        """Ends what runs; `interrupted` leaves cells under way the time to save where they are."""


def engine(
    name: Literal["local", "inline", "ray"], work: Work, cells: Sequence[Cell], folder: Folder, *, at_most: int | None
) -> Engine:
    """Returns the engine of this name.

    Args:
        name: One of `ENGINES`.
        work: What the cells share.
        cells: All that may be asked for.
        folder: Of the comparison.
        at_most: Cells at once; None for as many as fit. The inline engine runs one.

    Raises:
        SettingError: There is no such engine, no cluster, or the work cannot be sent to another process.
        MissingExtraError: Ray is not installed.
    """
    if name not in ENGINES:
        raise SettingError(unknown("engine", name, ENGINES))
    if name == "inline":
        from gossamer.compression.engines.inline import Inline

        return Inline(work, folder)
    if name == "local":
        from gossamer.compression.engines.local import Local

        return Local(work, cells, folder, at_most=at_most)
    from gossamer.compression.engines.ray import Ray

    return Ray(work, cells, folder, at_most=at_most)


def pickled(work: Work, cells: Sequence[Cell]) -> bytes:
    """Returns what another process needs to run the cells; classes and functions of a script travel with it.

    Raises:
        SettingError: Something in it cannot leave this process.
    """
    import cloudpickle

    try:
        content: bytes = cloudpickle.dumps((work, tuple(cells)))
    except Exception as error:
        raise SettingError(
            f"the model's factory or the task cannot be sent to another process ({error}); pass a task as a function"
            " of the seed, or take engine='inline'"
        ) from error
    return content


def paths() -> list[str]:
    """Returns where this process finds modules, for another to find them there too."""
    import sys

    return [str(Path(path).absolute()) for path in sys.path]


def unpickled(content: bytes) -> tuple[Work, tuple[Cell, ...]]:
    """Takes back what `pickled` made, in the process that it was made for."""
    import cloudpickle

    value: Any = cloudpickle.loads(content)
    return value  # type: ignore[no-any-return]
