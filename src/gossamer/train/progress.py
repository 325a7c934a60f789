"""A progress bar that costs next to nothing: absent in runs of seconds, drawn a few times a second."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_SILENT_SECONDS = 3.0
_REDRAW_SECONDS = 0.25


class Bar:
    """Shows how far a training run is, while its `with` block lasts.

    Args:
        epochs: Epochs in all.
        steps: Steps an epoch.
        console: Where to draw; None, or one that is no terminal, for no bar.
    """

    def __init__(self, epochs: int, steps: int, console: Console | None) -> None:
        self._epochs = epochs
        self._steps = steps
        self._console = console
        self._begun = time.monotonic()
        self._begun_at: int | None = None
        drawn = console is not None and console.is_terminal
        self._redraw = self._begun + _SILENT_SECONDS if drawn else float("inf")
        self._progress: Progress | None = None
        self._line = TaskID(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(
        self, done: int, loss: float | None, metric: str, value: float | None, *, epochs: float | None = None
    ) -> None:
        """Says that `done` steps of the whole run are over; draws if it is time to.

        Args:
            done: Steps since training began, those of earlier sittings included.
            loss: The last known training loss.
            metric: The name of the headline metric.
            value: Its last value on the validation split.
            epochs: How many epochs these steps are, where not all have as many.
        """
        if self._begun_at is None:
            self._begun_at = done - 1
        now = time.monotonic()
        if now < self._redraw:
            return
        self._redraw = now + _REDRAW_SECONDS
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
            self._line = self._progress.add_task("", total=self._epochs * self._steps, text="")
            self._progress.start()
        rate = (done - self._begun_at) / (now - self._begun)
        over = done / self._steps if epochs is None else epochs
        left = max(round((self._epochs - over) * done / max(over, 1e-9) / rate), 0)
        parts = [f"{rate:.3g} steps/s", f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"]
        parts += [] if loss is None else [f"loss {loss:.4g}"]
        parts += [] if value is None else [f"{metric} {value:.4g}"]
        self._progress.update(
            self._line,
            completed=over * self._steps,
            description=f"epoch {min(math.ceil(over), self._epochs)}/{self._epochs}",
            text="  ".join(parts),
        )
        self._progress.refresh()
