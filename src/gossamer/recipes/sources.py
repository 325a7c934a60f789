"""Makes the task and the network that a recipe names; both go to worker processes as the few words they are.

A task comes from a data set by name, from an edge list, or from a function of the user's own, by reference; a network
from the zoo, or from a class or function of the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gossamer.errors import SettingError, UserCodeError
from gossamer.models import default_training, for_task
from gossamer.naming import parse_named
from gossamer.references import Reference, is_reference
from gossamer.tasks import LoaderTask, NodeClassification, datasets
from gossamer.tasks.task import Task
from gossamer.train import Training


@dataclass(frozen=True)
class TaskSource:
    """Makes the task of a seed; a task that was made is kept, but does not travel along.

    Attributes:
        data: A data set by name, or the path of an edge list; None where `reference` is given.
        reference: The user's own task; see `as_task` for what it may be.
        kind: What task is made of the data, such as `temporal-link[dimensions=16]`; None: the data set's own.
        columns: Of an edge list, see `gossamer.graph.read_edges`.
        string_ids: Whether the nodes of an edge list are names, whatever they look like.
    """

    data: str | None = None
    reference: Reference | None = None
    columns: Sequence[str] | None = None
    string_ids: bool = False
    kind: str | None = None
    _made: dict[int, Task] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, seed: int) -> Task:
        """Returns the task whose random splits are those of `seed`.

        Raises:
            GossamerError: There is no such data set or reference, or it does not make a task.
        """
        if seed not in self._made:
            self._made[seed] = self._make(seed)
        return self._made[seed]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}

    def _make(self, seed: int) -> Task:
        if self.reference is None:
            assert self.data is not None
            kind, options = (None, {}) if self.kind is None else one_named(self.kind, "--task takes one kind of task")
            return datasets.task(
                self.data, seed=seed, columns=self.columns, string_ids=self.string_ids or None, kind=kind, **options
            )
        found, of = self.reference.resolve(), str(self.reference)
        task = _task_of(found, of, seed)  # before it is called: PyTorch Geometric's data can be
        if task is None and callable(found) and not isinstance(found, nn.Module):
            found = self.reference.call(seed=seed)
        return task or as_task(found, of=of, seed=seed)


@dataclass(frozen=True)
class ModelSource:
    """Makes the network with fresh weights.

    Attributes:
        text: A network of the zoo, such as `gcn[hidden=16]`, or a reference to a class or function of the user's own,
            which is called without arguments, or with the task if it has one parameter for it.
        tasks: Makes the task that the network is for.
        seed: Which task its widths are taken from; they are the same for every seed.
    """

    text: str
    tasks: TaskSource
    seed: int = 0

    def __call__(self) -> nn.Module:
        """Returns a new network.

        Raises:
            GossamerError: There is no such network or reference, it does not fit the task, or it is none.
        """
        task = self.tasks(self.seed)
        if not is_reference(self.text):
            name, arguments = zoo(self.text)
            return for_task(name, task, **arguments)
        reference = Reference.parse(self.text)
        if isinstance(reference.resolve(), nn.Module):
            raise SettingError(
                f"{reference} is a network, expected what makes one, so that each seed has its own weights: "
                "name its class, or a function that returns a new one"
            )
        model = reference.call(task=task)
        if not isinstance(model, nn.Module):
            raise UserCodeError(f"{reference} returned {_kind(model)}, expected a torch.nn.Module")
        return model


def as_task(value: Any, *, of: str, seed: int = 0) -> Task:
    """Returns a task made of what a user's function returned.

    Args:
        value: A `Task`; a PyTorch Geometric `Data` with `x`, `edge_index` and `y` (node classification, with its masks,
            or splits drawn by `seed`); or three loaders or data sets, training, validation and test, of
            (inputs, labels) (classification, as `LoaderTask`).
        of: Where it comes from, for messages.
        seed: Of splits that are drawn.

    Raises:
        UserCodeError: It is none of these.
        DataError: It does not hold what it should.
    """
    task = _task_of(value, of, seed)
    if task is None:
        raise UserCodeError(
            f"{of} gave {_kind(value)}, expected a gossamer Task, a PyTorch Geometric Data with x, edge_index and y, "
            "or three loaders or data sets (training, validation, test)"
        )
    return task


def _task_of(value: Any, of: str, seed: int) -> Task | None:
    if isinstance(value, Task):
        return value
    if all(hasattr(value, part) for part in ("x", "edge_index", "y")):
        return NodeClassification.from_pyg(value, seed=seed, name=short(of))
    kinds = (torch.utils.data.DataLoader, torch.utils.data.Dataset)
    if isinstance(value, tuple | list) and len(value) == 3 and all(isinstance(part, kinds) for part in value):
        return LoaderTask(*value, name=short(of))
    return None


def zoo(text: str) -> tuple[str, dict[str, Any]]:
    """Reads one network of the zoo, optionally with arguments, as in `gcn[hidden=16]`.

    Raises:
        SettingError: It does not read so, or there are several.
    """
    return one_named(text, "--model takes one network")


def one_named(text: str, wanted: str) -> tuple[str, dict[str, Any]]:
    """Reads one name, optionally with settings; `wanted` begins the message where there are several.

    Raises:
        SettingError: It does not read so, or there are several.
    """
    found = parse_named(text)
    if len(found) != 1:
        raise SettingError(f"{wanted}, found {len(found)}: {', '.join(found)}")
    return next(iter(found.values()))


def own_training(text: str) -> Training:
    """Returns how a network is trained if nothing else is said: a user's own one by `Training()`.

    Raises:
        SettingError: An unknown network.
    """
    return Training() if is_reference(text) else Training.from_json(default_training(zoo(text)[0]))


def short(text: str) -> str:
    """Returns a name, reference or path without the folders.

    >>> short("runs/own_model.py:Net[hidden=8]"), short("data/edges.csv"), short("cora")
    ('own_model.py:Net[hidden=8]', 'edges.csv', 'cora')
    """
    head, bracket, rest = text.partition("[")
    return f"{Path(head).name}{bracket}{rest}"


def _kind(value: Any) -> str:
    name = f"{type(value).__name__} of {len(value)}" if isinstance(value, tuple | list) else type(value).__name__
    return "nothing" if value is None else f"a {name}"
