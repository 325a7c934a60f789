"""A recipe: everything that decides a comparison, from Python, from the command line, or from a file.

    recipe = Recipe.load("cora.toml")          # TOML or YAML; unknown keys are refused with the nearest name
    frontier = recipe.run()                    # as `gossamer compare cora.toml` does

The fields are those of `gossamer compare`, with the same defaults; their documentation here is what its help shows and
what `gossamer recipe init` writes. In a file, relative paths start at the file's folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from gossamer.errors import SettingError, unknown
from gossamer.files import write_text
from gossamer.recipes import paths
from gossamer.recipes.changes import Changes
from gossamer.recipes.choice import Choice
from gossamer.recipes.document import Document, RecipeError, read
from gossamer.recipes.toml import write_toml
from gossamer.settings import Settings, bounded

if TYPE_CHECKING:
    from gossamer.compression import Frontier, Method
    from gossamer.recipes.sources import ModelSource, TaskSource
    from gossamer.train import Training

SPARSITIES = (0.5, 0.9)  # where neither sparsities nor budgets are given
ALL = "all"  # in the place of a method: each that is registered


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """One comparison: which methods, at which settings and seeds, on which network and data.

    Raises:
        SettingError: A field is missing, of the wrong type or out of range, or names what does not exist.
    """

    data: str | None = bounded(
        None,
        doc="a data set by name (`gossamer datasets` lists them), or path/to/edges.csv",
        example="digits-graph",
    )
    task: str | None = bounded(
        None,
        doc="your own data instead: package.module:factory or file.py:factory, called with the seed if it takes one; "
        "or, beside data with times, temporal-link or temporal-node",
        example="own_model.py:make_task",
    )
    model: str = bounded(
        doc="a network of the zoo, such as gcn or 'gcn[hidden=16]', or your own, package.module:Net or file.py:Net",
        example="gcn",
    )
    methods: tuple[Choice, ...] = dataclasses.field(
        default=tuple(Choice(kind=kind) for kind in ("dense", "magnitude", "rigl")),
        metadata={
            "doc": "methods (`gossamer methods` lists them), optionally with settings: 'rigl[every=50]'; "
            "all is each of them",
            "example": ["dense", "magnitude", "rigl[every=50]", {"name": "rigl", "every": 5, "label": "often"}],
        },
    )
    sparsities: tuple[float, ...] | None = bounded(
        None,
        ge=0.0,
        lt=1.0,
        doc="fractions of the weights to remove (default: 0.5,0.9, or none where there are budgets)",
        example=list(SPARSITIES),
    )
    budgets: tuple[str, ...] = bounded(
        (), doc="bounds, each method's setting is searched for: 'latency_ms<=2,bytes<=100k'", example=["bytes<=10k"]
    )
    seeds: tuple[int, ...] = bounded((0, 1, 2), ge=0, doc="seeds of weights, batches and splits", example=[0, 1, 2])
    training: Changes = dataclasses.field(
        default_factory=Changes, metadata={"doc": "how each network trains (default: the network's own)"}
    )
    out: Path = bounded(doc="folder of the comparison", example="runs/digits")
    engine: Literal["local", "inline", "ray"] = bounded(
        "local",
        doc="where networks train: local worker processes, inline (this process), or a ray cluster that runs",
        example="local",
    )
    workers: int | None = bounded(
        None, ge=1, doc="most networks in training at once (default: as many as cores and memory allow)", example=2
    )
    threads: int | None = bounded(
        None,
        ge=1,
        doc="of each worker (default: 1, or PyTorch's own with one worker); small networks are fastest with 1",
        example=1,
    )
    accelerate: bool = bounded(
        True,
        doc="deploy each network: on the engine, and in PyTorch with the sparse kernels that are faster here",
        example=True,
    )
    latency: bool = bounded(True, doc="measure latency, of the deployed network and in eager PyTorch", example=True)
    torch_compile: bool = bounded(
        False, doc="measure latency under torch.compile too: seconds to minutes a network", example=False
    )
    columns: tuple[str, ...] | None = bounded(
        None,
        doc="of an edge list: source,target,weight,time in its order; _ leaves one out",
        example=["source", "target"],
    )
    string_ids: bool = bounded(False, doc="nodes of an edge list are names, whatever they look like", example=False)

    def __post_init__(self) -> None:
        """Reads choices that are given as text or tables, and checks each field and what they say together."""
        if isinstance(self.methods, str):
            object.__setattr__(self, "methods", choices(self.methods))
        if isinstance(self.methods, list | tuple):
            object.__setattr__(self, "methods", _expanded([Choice.of(method) for method in self.methods]))
        object.__setattr__(self, "training", _changes(self.training))
        for key in paths.PATHS:
            object.__setattr__(self, key, paths.from_file(key, getattr(self, key), Path()))
        object.__setattr__(self, "out", Path(self.out) if isinstance(self.out, str) else self.out)
        super().__post_init__()
        self._check()

    @classmethod
    def make(cls, values: Mapping[str, Any], *, of: str = "a recipe") -> Self:
        """Makes a recipe from its fields, in their JSON form or not.

        Raises:
            SettingError: A field is unknown or missing, or its value is wrong.
        """
        fields = dataclasses.fields(cls)
        for key in values:
            if key not in {field.name for field in fields}:
                raise SettingError(unknown("key", key, [field.name for field in fields]))
        missing = [
            field.name
            for field in fields
            if field.name not in values
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ]
        if values.get("data") is None and values.get("task") is None:
            missing.insert(0, "data (or task)")
        if missing:
            raise SettingError(f"{of} needs {' and '.join(missing)}; `gossamer recipe init` writes an example")
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path, changes: Mapping[str, Any] | None = None) -> Self:
        """Reads a recipe file, TOML or YAML by its suffix.

        Args:
            path: The file; its relative paths start at its folder.
            changes: Fields whose value in the file is not to count; of `training`, those of its fields that are given.

        Raises:
            FileError: The file cannot be read.
            SettingError: It does not hold a recipe; file, line, key and the nearest known key are named.
        """
        document, changes = read(path), dict(changes or {})
        values = {key: _read(cls, document, key, value) for key, value in document.values.items()}
        folder = Path(path).parent
        values = {key: paths.from_file(key, value, folder) for key, value in values.items()}
        if "training" in changes and "training" in values:
            changes["training"] = Changes(**{**vars(values["training"]), **_changes(changes["training"]).given()})
        from gossamer.references import is_reference

        kind = changes.get("task", values.get("task"))  # a kind of task is made of data, so both stay
        apart = not isinstance(kind, str) or is_reference(kind)
        for one, other in (("data", "task"), ("task", "data")):
            if one in changes and other not in changes and apart:
                values.pop(other, None)
        with document.blame():
            return cls.make({**values, **changes}, of="the recipe")

    def save(self, path: str | Path) -> Path:
        """Writes the recipe as TOML, whole or not at all; `load` gives it back equal.

        A relative path becomes one from the file's folder, so it is absolute where the file is loaded by an absolute
        name.

        Raises:
            FileError: The file could not be written.
        """
        return write_text(path, self.to_toml(Path(path).parent))

    def to_toml(self, folder: Path) -> str:
        """Returns the text of a recipe file in `folder`, without the fields that are not set."""
        values = self.to_json()
        if not values["training"]:
            del values["training"]
        return write_toml({key: paths.to_file(key, value, folder) for key, value in values.items()})

    def settings(self) -> dict[str, Method]:
        """Returns each method's label and settings, before any sparsity or budget is set."""
        return {choice.label: _method(choice) for choice in self.methods}

    def trains(self) -> Training:
        """Returns how each network is trained: the network's own way, with the recipe's changes."""
        from gossamer.recipes.sources import own_training

        return self.training.over(own_training(self.model))

    def tasks(self) -> TaskSource:
        """Returns what makes the task of a seed."""
        from gossamer.recipes.sources import TaskSource
        from gossamer.references import task_of

        reference, kind = task_of(self.data, self.task)
        return TaskSource(self.data, reference, self.columns, self.string_ids, kind)

    def network(self, tasks: TaskSource) -> ModelSource:
        """Returns what makes a network with fresh weights for the first seed's task."""
        from gossamer.recipes.sources import ModelSource

        return ModelSource(self.model, tasks, self.seeds[0] if self.seeds else 0)

    def at(self) -> tuple[float, ...]:
        """Returns the sparsities that are run."""
        if self.sparsities is not None:
            return self.sparsities
        return () if self.budgets else SPARSITIES

    def run(self, *, progress: bool = True) -> Frontier:
        """Runs what is missing of the comparison, and writes `out/run.json` and `out/recipe.toml`.

        Raises:
            GossamerError: As `gossamer.compare`; or the network or the task cannot be made, or `out` holds the
                comparison of another file of the same name.
        """
        from gossamer.recipes.run import run

        return run(self, progress=progress)

    def _check(self) -> None:
        from gossamer.cost import Budget
        from gossamer.references import Reference, is_reference, task_of

        if self.data is None and self.task is None:
            raise SettingError("data and task are both missing; give one of them")
        task_of(self.data, self.task)
        if not self.methods or not self.seeds:
            raise SettingError("nothing to compare: give at least one method and one seed")
        labels = [choice.label for choice in self.methods]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise SettingError(f"two methods are called {twice!r}; give one of them another label")
        for choice in self.methods:
            method = _method(choice)
            for sparsity in self.at() if method.knob else ():
                method.replace(**{method.knob: sparsity})
        for budget in self.budgets:
            Budget.parse(budget)
        if is_reference(self.model):
            Reference.parse(self.model)
        self.trains()


def choices(text: str) -> tuple[Choice, ...]:
    """Reads methods with commas between them: `dense,rigl[every=5]`.

    Raises:
        SettingError: It does not read so.
    """
    from gossamer.naming import parse_named

    named = parse_named(text).items()
    return tuple(Choice(kind=kind, settings=settings, label=label) for label, (kind, settings) in named)


def _expanded(named: Sequence[Choice]) -> tuple[Choice, ...]:
    """Puts every registered method that has no place of its own in that of `all`."""
    from gossamer.compression import methods

    found: list[Choice] = []
    for choice in named:
        if choice.kind != ALL:
            found.append(choice)
        elif choice.settings:
            raise SettingError(f"{ALL} takes no settings, found {', '.join(choice.settings)}; name a method for them")
        else:
            labels = {other.label for other in named}
            found += [Choice(kind=name) for name in methods() if name not in labels]
    return tuple(found)


def _method(choice: Choice) -> Method:
    from gossamer.compression import method

    return method(choice.kind, **choice.settings)


def _changes(value: Any) -> Changes:
    """Returns changes from themselves, from a `Training`, or from their JSON form."""
    if value is None or isinstance(value, Changes):
        return value or Changes()
    if isinstance(value, Settings):
        return Changes(**value.to_json())
    return Changes.from_json(value)


def _read(kind: type[Settings], document: Document, key: str, value: Any) -> Any:
    """Returns the value of one key of a file; an error names the key and its line."""
    with document.blame(key):
        names = [field.name for field in dataclasses.fields(kind)]
        if key not in names:
            raise SettingError(unknown("key", key, names))
        if key == "training":
            return _read_training(document, value)
        if key != "methods":
            return kind.read_field(key, value)
        if isinstance(value, str):
            return choices(value)
        if not isinstance(value, list):
            raise SettingError(f"found a {type(value).__name__}, expected a list, as in ['dense', 'rigl[every=5]']")
        found = []
        for place, item in enumerate(value):
            with document.blame(key, place):
                found.append(Choice.of(item))
                for choice in _expanded(found[-1:]):
                    _method(choice)
        return tuple(found)


def _read_training(document: Document, value: Any) -> Changes:
    from gossamer.train import Training

    if not isinstance(value, dict):
        raise SettingError(f"found a {type(value).__name__}, expected keys and values under [training]")
    read: dict[str, Any] = {}
    for key, item in value.items():
        with document.blame("training", key):
            names = [field.name for field in dataclasses.fields(Changes)]
            if key not in names:
                raise SettingError(unknown("key", key, names))
            read[key] = Changes.read_field(key, item)
            Changes(**{key: read[key]}).over(Training())
    return Changes(**read)


__all__ = ["SPARSITIES", "Recipe", "RecipeError", "choices"]
