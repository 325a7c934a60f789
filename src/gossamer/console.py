"""The console for people: standard error, so that standard output stays free for results."""

from __future__ import annotations

from rich.console import Console


def stderr() -> Console:
    """Returns a console on standard error; progress bars there vanish where it is not a terminal."""
    return Console(stderr=True)
