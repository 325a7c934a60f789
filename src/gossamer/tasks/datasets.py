"""Named data sets: list them, read them, and make tasks of them.

datasets.names()                       # ["acm", "actor", ...]
graph = datasets.read("cora")          # what the files hold
task = datasets.task("cora", seed=0)   # ready to train on
task = datasets.task("my/edges.csv")   # link prediction on an edge list of one's own
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gossamer.errors import DataError, SettingError, unknown
from gossamer.graph import EdgeList, Graph, read_edges
from gossamer.tasks import kinds
from gossamer.tasks.catalogue import CATALOGUE, DataSet, Kind, Raw
from gossamer.tasks.graph_classification import GraphClassification
from gossamer.tasks.image import ImageClassification
from gossamer.tasks.link import LinkPrediction
from gossamer.tasks.locate import find, folders, locate
from gossamer.tasks.node import NodeClassification
from gossamer.tasks.readers.images import Images
from gossamer.tasks.task import Task

_TABLE_NODES = 50_000  # above this many nodes without features, an embedding table would outweigh the network
_RANDOM_FEATURES = 64


@dataclass(frozen=True)
class Description:
    """What is known of a named data set without reading it.

    Attributes:
        name: The name by which it is asked for.
        kind: "nodes", "links", "graphs" or "images": what is classified or predicted.
        summary: What the data are, in a few words.
        sizes: What there is how much of: nodes, edges (directed), features, classes, graphs, images.
        where: The first of its files: where it is, or where it would be looked for first; "" where none is
            needed.
        present: Whether it can be read now, without a download.
        download: Whether missing files are downloaded.
    """

    name: str
    kind: Kind
    summary: str
    sizes: Mapping[str, int]
    where: str
    present: bool
    download: bool

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object of the fields."""
        return asdict(self)


def names() -> list[str]:
    """Returns the names of all data sets, sorted."""
    return sorted(CATALOGUE)


def describe() -> list[Description]:
    """Returns what is known of every named data set, sorted by kind and name; reads no data."""
    return [_description(entry) for entry in sorted(CATALOGUE.values(), key=lambda entry: (entry.kind, entry.name))]


def read(name: str, *, columns: Sequence[str] | None = None, string_ids: bool | None = None) -> Raw:
    """Reads a data set, downloading it to the cache if it is nowhere and there is a public place for it.

    Args:
        name: One of `names()`, or the path of an edge list.
        columns: What the columns of an edge list are, see `gossamer.graph.read_edges`; named sets know
            theirs.
        string_ids: Whether the nodes of an edge list have names; None sees from the first lines.

    Returns:
        A Graph, a list of Graphs, an EdgeList or Images.

    Raises:
        DataError: The name is unknown (with the nearest ones), or a file is missing or does not hold what it
            should.
        FileError: An edge list of one's own is missing or damaged.
    """
    entry = CATALOGUE.get(name)
    if entry is None:
        if _is_path(name):
            return read_edges(name, columns=columns, string_ids=string_ids)
        raise DataError(unknown("data set", name, CATALOGUE) + "; or give the path of an edge list")
    if columns is not None or string_ids is not None:
        raise SettingError(f"{name}: columns and string_ids are for edge lists of one's own; those of {name} are known")
    try:
        paths = locate(name, entry.files, entry.url)
    except DataError as error:
        if not entry.advice:
            raise
        raise DataError(f"{error}; {entry.advice}") from error
    return entry.read(paths)


def task(
    name: str,
    *,
    seed: int = 0,
    columns: Sequence[str] | None = None,
    string_ids: bool | None = None,
    kind: str | None = None,
    **options: Any,
) -> Task:
    """Reads a data set and makes the task that the literature makes of it.

    Citation sets keep their public split, the heterophilous ones split number `seed` mod 10 of their ten.
    Other node sets draw 20 nodes a class for training and 30 for validation, the rest for the test. Link sets
    hold out 5 % and 10 % of the edges, temporal ones the latest. Image sets keep their test images.

    Args:
        name: One of `names()`, or the path of an edge list (link prediction).
        seed: Which splits, where they are drawn.
        columns: What the columns of an edge list of one's own are, see `gossamer.graph.read_edges`.
        string_ids: Whether its nodes have names; None sees from the first lines.
        kind: Of the task, one of `tasks.kinds.KINDS`, such as "temporal-link"; None takes the data set's own.
        **options: Of the task's class (and of `NodeClassification.from_graph`, where splits are drawn).

    Raises:
        DataError: As `read`; or the data do not make a task.
        SettingError: The kind is unknown, or the task has no such option; the nearest one is named.
    """
    raw = read(name, columns=columns, string_ids=string_ids)
    entry = CATALOGUE.get(name)
    kind = kind or (entry.task if entry else None)
    if kind is not None:
        return kinds.make(kind, raw, seed=seed, name=_title(name), **options)
    given = dict(entry.options if entry else {}) | options | {"name": _title(name)}
    if isinstance(raw, Images):
        return _make(ImageClassification, raw, given, seed=seed)
    if isinstance(raw, list):
        return _make(GraphClassification, raw, given, seed=seed)
    if isinstance(raw, EdgeList):
        given.setdefault("by_time", raw.time is not None)
        raw = raw.to_graph(directed=True)
    if entry is None or entry.kind == "links":
        if raw.x is None and raw.num_nodes > _TABLE_NODES:
            given.setdefault("features", _RANDOM_FEATURES)
        return _make(LinkPrediction, raw, given, seed=seed)
    if entry.splits == "drawn" or {"per_class", "val_per_class"} & set(options):
        return _make(NodeClassification.from_graph, raw, given, seed=seed, also=NodeClassification)
    return _make(NodeClassification, raw, {"split": _split(raw, seed)} | given)


def _make(
    build: Callable[..., Task],
    raw: Raw,
    options: Mapping[str, Any],
    *,
    also: Callable[..., Task] | None = None,
    **fixed: Any,
) -> Task:
    """Calls `build`, refusing options that neither it nor the function it hands them to knows."""
    known = {
        parameter.name
        for function in (build, also)
        if function is not None
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for option in options:
        if option not in known:
            raise SettingError(unknown(f"option of {options['name']}", option, known - set(fixed)))
    return build(raw, **options, **fixed)


def _split(graph: Graph, seed: int) -> int:
    mask = graph.masks["train"]
    return seed % mask.shape[1] if mask.dim() == 2 else 0


def _is_path(name: str) -> bool:
    return os.sep in name or "/" in name or "." in name or Path(name).is_file()


def _title(name: str) -> str:
    return name if name in CATALOGUE else Path(name).name


def _description(entry: DataSet) -> Description:
    found = [find(file) for file in entry.files]
    first = found[0] or folders()[0] / entry.files[0] if entry.files else ""
    return Description(
        name=entry.name,
        kind=entry.kind,
        summary=entry.summary,
        sizes=dict(entry.sizes),
        where=str(first),
        present=None not in found,
        download=entry.url is not None,
    )
