"""Kinds of tasks by name, for data that more than one task can be made of: `temporal-link[dimensions=16]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gossamer.errors import SettingError, unknown
from gossamer.tasks.catalogue import Raw
from gossamer.tasks.task import Task
from gossamer.tasks.temporal import TemporalLink, TemporalNode, WalkVectors
from gossamer.tasks.temporal.node import NODE_WALKS


@dataclass(frozen=True)
class TaskKind:
    """One kind: what it is, its class, and how its vectors are made unless the options say otherwise."""

    summary: str
    build: Callable[..., Task]
    options: tuple[str, ...]  # of the class, besides those of `WalkVectors`
    walks: WalkVectors


KINDS: Mapping[str, TaskKind] = {
    "temporal-link": TaskKind(
        "which events come next, from walks in time",
        TemporalLink,
        ("val", "test", "span", "leaky", "batch_size"),
        WalkVectors(),
    ),
    "temporal-node": TaskKind(
        "classes of nodes, from walks in time", TemporalNode, ("val", "test", "batch_size"), NODE_WALKS
    ),
}


def make(kind: str, raw: Raw, *, seed: int, name: str, **options: Any) -> Task:
    """Makes a task of a kind from data.

    Args:
        kind: A name from `KINDS`.
        raw: What the data's files hold.
        seed: Of whatever is drawn.
        name: What reports call the task.
        **options: Of the kind's class, and of `WalkVectors`.

    Raises:
        SettingError: The kind or an option is unknown (with the nearest), or a value is out of range.
        DataError: The data are not of the kind.
    """
    if kind not in KINDS:
        raise SettingError(unknown("kind of task", kind, KINDS) + "; or give module:factory or file.py:factory")
    found = KINDS[kind]
    of_walks = [field.name for field in dataclasses.fields(WalkVectors)]
    for option in options:
        if option not in (*found.options, *of_walks):
            raise SettingError(unknown(f"option of {kind}", option, [*found.options, *of_walks]))
    walks = found.walks.replace(**{key: value for key, value in options.items() if key in of_walks})
    rest = {key: value for key, value in options.items() if key not in of_walks}
    return found.build(raw, walks=walks, seed=seed, name=name, **rest)
