"""Makes the task, the network and its training from what the options of a command say."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gossamer.deploy.store import load, load_task, read_plan
from gossamer.errors import ModelError, SettingError
from gossamer.recipes.changes import Changes
from gossamer.recipes.run import check_folder
from gossamer.recipes.sources import ModelSource, TaskSource, own_training
from gossamer.references import is_reference, task_of
from gossamer.tasks import Task
from gossamer.train import Training

__all__ = ["check_folder", "network", "saved", "task_for", "tasks", "training", "use_threads"]


def tasks(
    data: str | None, task: str | None, *, columns: tuple[str, ...] | None = None, string_ids: bool = False
) -> TaskSource:
    """Returns what makes the task of a seed, from a data set or from the user's own code.

    Raises:
        SettingError: Both or neither are given, or the reference does not read.
    """
    if data is None and task is None:
        raise SettingError("--data and --task are both missing; give one of them")
    if data is not None and task is not None and is_reference(task):
        raise SettingError("--data and --task exclude each other where the task is your own; give one of them")
    reference, kind = task_of(data, task)
    return TaskSource(data, reference, columns, string_ids, kind)


def network(text: str, tasks: TaskSource, *, seed: int = 0) -> nn.Module:
    """Makes a network with fresh weights: of the zoo, with the task's widths, or the user's own.

    Raises:
        GossamerError: As `ModelSource`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ModelSource(text, tasks, seed)()


def saved(model: str, weights: Path | None, tasks: TaskSource, *, seed: int = 0) -> nn.Module | None:
    """Returns a saved network, from its file alone or into one of the user's own; None where no file is named.

    Raises:
        FileError: A file is missing or damaged.
        ModelError: The file does not fit the network, or needs its class.
    """
    if weights is not None:
        return load(weights, model=network(model, tasks, seed=seed))
    if not Path(model).is_file():
        return None
    name = read_plan(model).model
    if not name.get("zoo"):
        raise ModelError(
            f"{model} holds a {name.get('class', 'network')} that is not of the zoo; "
            f"name its class too: --model file.py:Class --weights {model}"
        )
    return load(model)


def task_for(model: str, weights: Path | None, tasks: TaskSource, *, seed: int = 0) -> Task:
    """Returns the task of a seed, without the edges of the graph that a saved network was made without.

    Raises:
        FileError: The file is missing or damaged.
        DataError: The network was made for another graph.
    """
    file = weights or Path(model)
    task = tasks(seed)
    return load_task(file, task) if file.is_file() else task


def training(model: str | None, changes: Changes) -> Training:
    """Returns how a network is trained: its own way, with changes.

    Args:
        model: A network of the zoo or a reference; None for one that is neither, trained by `Training()`.
        changes: What the options say.

    Raises:
        SettingError: An unknown network, or a value out of range.
    """
    return changes.over(Training() if model is None else own_training(model))


def use_threads(threads: int | None) -> None:
    """Makes this process compute with so many threads; None leaves PyTorch's choice.

    Raises:
        SettingError: Fewer than 1.
    """
    if threads is None:
        return
    if threads < 1:
        raise SettingError(f"--threads is {threads}; expected at least 1")
    torch.set_num_threads(threads)
