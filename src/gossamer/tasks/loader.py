"""A task on loaders of the user's own: plain PyTorch `DataLoader`s, data sets, or any other source of batches.

Whatever draws at random while batches are made (the order, augmentation) draws from generators that depend on the seed
and the epoch alone, so that a run can be repeated and a killed one goes on with the same batches; the network's own
random numbers, such as those of dropout, are not touched by it.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset

from gossamer.errors import DataError, ModelError
from gossamer.tasks import checks, metrics
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split, Task

Unpacked = tuple[tuple[Any, ...], Tensor]


class LoaderTask(Task):
    """Trains a model on batches; it is called as `model(*inputs)` with what a batch holds before its labels.

    Args:
        train: Loader of training batches with a length, or a data set, of which loaders are made: shuffled for
            training, in order for the others.
        val: The same for validation.
        test: The same for the test.
        loss: From outputs and labels of a batch to a scalar.
        metrics: Name to function of all outputs and labels of a split (joined along their first dimension); the first
            is the headline. By default accuracy and macro-F1 where `loss` is cross entropy, else the loss.
        higher_is_better: Of the headline metric; by default True, but for the loss.
        unpack: From a batch to the model's positional arguments, a tuple, and the labels. By default a batch is
            (input, ..., labels).
        example: The model's positional arguments at which costs are measured; by default those of the first test batch.
        batch_size: Of loaders made of data sets, at least 1.
        name: What reports call the task.

    Raises:
        DataError: A loader is empty, has no length, or its batches are not what they should be.

    >>> rows = torch.utils.data.TensorDataset(torch.randn(12, 4), torch.randint(3, (12,)))
    >>> task = LoaderTask(rows, rows, rows, batch_size=5)
    >>> task.steps(), task.metric
    (3, 'accuracy')
    """

    def __init__(
        self,
        train: Iterable[Any] | Dataset[Any],
        val: Iterable[Any] | Dataset[Any],
        test: Iterable[Any] | Dataset[Any],
        *,
        loss: Callable[[Any, Any], Tensor] = F.cross_entropy,
        metrics: Mapping[str, Callable[[Any, Any], Tensor | float]] | None = None,
        higher_is_better: bool | None = None,
        unpack: Callable[[Any], Unpacked] | None = None,
        example: tuple[Any, ...] | None = None,
        batch_size: int = 64,
        name: str = "own-task",
    ) -> None:
        checks.check_setting("batch_size", batch_size, ge=1)
        self.name = name
        self._loss, self._metrics = loss, dict(metrics or {})
        classifies = loss is F.cross_entropy or isinstance(loss, nn.CrossEntropyLoss)
        self.metric = next(iter(self._metrics), "accuracy" if classifies else "loss")
        self.higher_is_better = self.metric != "loss" if higher_is_better is None else higher_is_better
        self._classifies = classifies and not self._metrics
        self._unpack = unpack or _inputs_and_labels
        self._device: torch.device | str | None = None
        self._loaders: dict[Split, Any] = {
            "train": _loader(train, batch_size, shuffle=True),
            "val": _loader(val, batch_size, shuffle=False),
            "test": _loader(test, batch_size, shuffle=False),
        }
        self.batch_size = _batch_size(self._loaders["train"])
        self._steps = self._count()
        inputs, labels = self._unpack(self._first("test"))
        self._example = inputs if example is None else example
        size = _rows(labels) if example is None else _rows(example[0])
        self._per_step = self._training_rows() / max(size, 1)

    def steps(self) -> int:
        """Returns the length of the training loader."""
        return self._steps

    def with_batch_size(self, batch_size: int) -> Self:
        """Returns this task with another training loader, of the same data set, order and workers."""
        other = super().with_batch_size(batch_size)
        rows = self._per_step * self._steps
        other._loaders = self._loaders | {"train": _rebatched(self._loaders["train"], batch_size)}
        other._steps = other._count()
        other._per_step = rows / other._steps
        return other

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        """Yields what the loader of the split yields, on the task's device."""
        loader = self._loaders[split]
        key = int(torch.randint(2**62, (), generator=generator(seed, epoch)))
        for source in (loader, getattr(loader, "sampler", None)):
            if isinstance(own := getattr(source, "generator", None), torch.Generator):
                own.manual_seed(key)
            if hasattr(source, "set_epoch"):  # as a sampler for several processes has
                source.set_epoch(epoch)  # type: ignore[union-attr]
        for batch in _with_own_randomness(loader, key):
            yield batch if self._device is None else _moved(batch, self._device)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns the loss of a batch.

        Raises:
            ModelError: The loss refuses the model's outputs; their shapes are named.
        """
        inputs, labels = self._unpack(batch)
        return self._lost(model(*inputs), labels)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the metrics over a split, whose outputs are held in memory.

        Raises:
            DataError: The split's loader yields no batch.
            ModelError: The model's outputs do not fit the labels.
        """
        outputs, labels = [], []
        with metrics.evaluating(model):
            for batch in self.batches(split):
                inputs, truth = self._unpack(batch)
                outputs.append(model(*inputs))
                labels.append(truth)
            if not outputs:
                raise DataError(f"{self.name}: the {split} loader yields no batch; expected at least one")
            predicted, truth = torch.cat(outputs), torch.cat(labels)
            if self._classifies:
                self._lost(predicted, truth)
                return metrics.classification(predicted, truth)
            if self._metrics:
                return {name: float(metric(predicted, truth)) for name, metric in self._metrics.items()}
            return {"loss": float(self._lost(predicted, truth))}

    def example(self) -> tuple[Any, ...]:
        """Returns the positional arguments that were given, or those of the first test batch."""
        return self._example if self._device is None else tuple(_moved(part, self._device) for part in self._example)

    def examples_per_step(self) -> float:
        """Returns the mean number of rows of a training batch over those of the example."""
        return self._per_step

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its batches brought to `device` as they are made."""
        moved = copy.copy(self)
        moved._device = device
        return moved

    def _lost(self, outputs: Any, labels: Any) -> Tensor:
        try:
            return self._loss(outputs, labels)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ModelError(
                f"{self.name}: the loss refuses outputs {_shape(outputs)} with labels {_shape(labels)}: "
                f"{str(error).splitlines()[0]}; the model should return one row a row of the batch"
            ) from error

    def _count(self) -> int:
        try:
            steps = len(self._loaders["train"])
        except TypeError:
            raise DataError(f"{self.name}: the training loader has no length; give one whose len() is known") from None
        if not steps:
            raise DataError(f"{self.name}: the training loader is empty; expected at least one batch")
        return steps

    def _first(self, split: Split) -> Any:
        for batch in itertools.islice(self.batches(split), 1):
            return batch
        raise DataError(f"{self.name}: the {split} loader yields no batch; expected at least one")

    def _training_rows(self) -> float:
        """Returns the mean number of rows of a training batch."""
        data = getattr(self._loaders["train"], "dataset", None)
        if data is not None and hasattr(data, "__len__") and not getattr(self._loaders["train"], "drop_last", False):
            return len(data) / self._steps
        return float(_rows(self._unpack(self._first("train"))[1]))


def _loader(source: Any, batch_size: int, *, shuffle: bool) -> Any:
    if isinstance(source, Dataset):
        return DataLoader(source, batch_size=batch_size, shuffle=shuffle)
    if iter(source) is source:
        raise DataError("a loader can be read only once; give a DataLoader, a data set or a list, not an iterator")
    return source


def _batch_size(loader: Any) -> int | None:
    """Returns the batch size of a loader that can be made again with another one; None of any other."""
    if type(loader) is not DataLoader or loader.batch_size is None:
        return None
    return loader.batch_size if type(loader.batch_sampler) is BatchSampler else None


def _rebatched(loader: DataLoader[Any], batch_size: int) -> DataLoader[Any]:
    return DataLoader(
        loader.dataset,
        batch_size=batch_size,
        sampler=loader.sampler,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        drop_last=loader.drop_last,
        worker_init_fn=loader.worker_init_fn,
        generator=loader.generator,
        persistent_workers=loader.persistent_workers,
    )


def _inputs_and_labels(batch: Any) -> Unpacked:
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise DataError(
            f"a batch is {_shape(batch)}, expected (inputs, labels); give unpack=, "
            "a function from a batch to the model's arguments, a tuple, and the labels"
        )
    return tuple(batch[:-1]), batch[-1]


def _with_own_randomness(loader: Iterable[Any], key: int) -> Iterator[Any]:
    """Yields batches; while one is made, the global generators are those of `key`, and after it what they were."""
    theirs, source = None, iter(())
    while True:
        ours = _states()
        try:
            if theirs is None:
                torch.default_generator.manual_seed(key)
                np.random.seed(key % 2**32)  # noqa: NPY002 - users' data sets may draw from it
                random.seed(key)
                source = iter(loader)
            else:
                _restore(theirs)
            batch = next(source, _END)
            theirs = _states()
        finally:
            _restore(ours)
        if batch is _END:
            return
        yield batch


_END = object()


def _states() -> tuple[Tensor, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002


def _restore(states: tuple[Tensor, Any, Any]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


def _moved(value: Any, device: torch.device | str) -> Any:
    """Returns tensors, and what holds them, on a device."""
    if hasattr(value, "to"):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_moved(item, device) for item in value)
    return value


def _rows(value: Any) -> int:
    return len(value) if isinstance(value, Tensor) and value.dim() else 1


def _shape(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
