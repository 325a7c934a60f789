"""What a report is made from: a comparison, its record, or the path of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gossamer.frontier.frontier import Frontier

Source = Frontier | dict[str, Any] | str | Path


def read(run: Source) -> Frontier:
    """Returns the comparison; a folder stands for the `run.json` in it.

    Raises:
        FileError: The file is missing or not a run.
        DataError: The record is not a run.
    """
    if isinstance(run, Frontier):
        return run
    return Frontier.from_json(run) if isinstance(run, dict) else Frontier.load(run)
