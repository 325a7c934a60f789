"""Tells whether a checkpoint belongs to this run, and if not, what is different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from gossamer.errors import FileError
from gossamer.tasks.task import Task
from gossamer.train.hooks import Hooks
from gossamer.train.training import Training

_FORMAT = 2  # of what a checkpoint holds


def fingerprint(model: nn.Module, task: Task, training: Training, hooks: Hooks, seed: int) -> dict[str, Any]:
    """Returns what two sittings of one run have in common: shapes, names and settings, no weights."""
    settings = training.to_json()
    del settings["checkpoint_minutes"]  # changes no weight
    return {
        "format": _FORMAT,
        "model": {name: _shape(value) for name, value in model.state_dict().items()},
        "task": {"name": task.name, "metric": task.metric, "steps": task.steps()},
        "training": settings,
        "hooks": type(hooks).__qualname__,
        "seed": seed,
    }


def require_same(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Passes if two fingerprints are equal.

    Raises:
        FileError: They are not; the message names the first differences.
    """
    there, here = _flat(found), _flat(expected)
    names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if names:
        shown = ", ".join(
            f"{name} is {there.get(name, 'absent')}, here {here.get(name, 'absent')}" for name in names[:3]
        )
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise FileError(f"{path}: the checkpoint is of another run: {shown}{more}; delete it or name another file")


def _shape(value: Any) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if hasattr(value, "shape") else type(value).__name__


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Returns the leaves of nested dicts, by their dotted paths."""
    if not isinstance(value, dict):
        return {name: value}
    return {
        key: leaf
        for part, inner in value.items()
        for key, leaf in _flat(inner, f"{name}.{part}" if name else str(part)).items()
    }
