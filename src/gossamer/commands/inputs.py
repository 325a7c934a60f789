"""Makes the task, the network and its training from what the options say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gossamer.compression.registry import parse_named
from gossamer.errors import FileError, SettingError
from gossamer.models import default_training, for_task
from gossamer.tasks import datasets
from gossamer.tasks.task import Task
from gossamer.train import Training


def task(data: str, *, seed: int, columns: tuple[str, ...] | None, string_ids: bool) -> Task:
    """Makes the task of a named data set or of an edge list.

    Raises:
        DataError, FileError, SettingError: As `datasets.task`.
    """
    return datasets.task(data, seed=seed, columns=columns, string_ids=string_ids or None)


def zoo(text: str) -> tuple[str, dict[str, Any]]:
    """Reads one network of the zoo, optionally with arguments, as in `gcn[hidden=16]`.

    Raises:
        SettingError: It does not read so, or there are several.
    """
    found = parse_named(text)
    if len(found) != 1:
        raise SettingError(f"--model takes one network, found {len(found)}: {', '.join(found)}")
    return next(iter(found.values()))


def network(text: str, task: Task) -> nn.Module:
    """Makes a network of the zoo with fresh weights and the task's widths.

    Raises:
        SettingError, ModelError: As `models.for_task`.
    """
    name, arguments = zoo(text)
    return for_task(name, task, **arguments)


def training(text: str, *, epochs: int | None, learning_rate: float | None, patience: int | None) -> Training:
    """Returns how the network of this name is trained, its own defaults where an option is None.

    Raises:
        SettingError: An unknown network, or a value out of range.
    """
    made = Training.from_json(default_training(zoo(text)[0]))
    if epochs is not None:
        made = made.replace(epochs=epochs)
    if patience is not None:
        made = made.replace(patience=patience)
    if learning_rate is not None:
        made = made.replace(optimizer=made.optimizer.replace(learning_rate=learning_rate))
    return made


def check_folder(folder: Path) -> None:
    """Refuses an output folder that could not be made or written, before anything has been trained for it.

    Raises:
        FileError: It, or the nearest folder above it that exists, is a file or may not be written.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise FileError(f"{folder}: cannot be written, {nearest} is no writable folder; choose another --out")


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
