"""What the cells of a run share; the comparison itself is `gossamer.frontier`."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import gossamer
from gossamer import machine
from gossamer.frontier.frontier import FORMAT, Frontier
from gossamer.frontier.points import Point
from gossamer.tasks.task import Task
from gossamer.train import Training

__all__ = ["Frontier", "Point", "describe_run"]


def describe_run(
    kind: Literal["comparison", "compression"], task: Task, training: Training, *, data: str, model: str
) -> dict[str, Any]:
    """Returns what the cells of a run share, with this machine and the time now: `Frontier.run`."""
    return {
        "format": FORMAT,
        "kind": kind,
        "data": data,
        "model": model,
        "task": task.name,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "gossamer": gossamer.__version__,
        "machine": machine.describe(),
        "training": training.to_json(),
    }
