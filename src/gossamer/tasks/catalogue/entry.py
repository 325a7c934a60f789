"""What is known of one named data set before any of its files is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gossamer.graph import EdgeList, Graph
from gossamer.tasks.readers.images import Images

Raw = Graph | EdgeList | Images | list[Graph]
Kind = Literal["nodes", "links", "graphs", "images"]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One named data set."""

    name: str
    kind: Kind  # what is classified or predicted
    summary: str
    sizes: Mapping[str, int]  # nodes, edges, features, classes, graphs, images: what there is
    read: Callable[[Sequence[Path]], Raw]  # takes the paths of `files`
    files: tuple[str, ...] = ()  # none: the set comes with gossamer
    url: Callable[[str], str] | None = None  # where a file can be downloaded
    task: str | None = None  # the kind of task made, see `tasks.kinds`; None: by `kind`
    splits: Literal["published", "drawn"] = "drawn"
    options: Mapping[str, Any] = field(default_factory=dict)  # of the task, unless the caller says otherwise
    advice: str = ""  # added to the message when a file is missing


def below(base: str, file: str) -> str:
    """Returns the address of a file, by its last name, below `base`."""
    return base + Path(file).name
