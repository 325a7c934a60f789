"""What an experiment is given, and what it answers.

An experiment is a function `(setup, run) -> Outcome`: one seed, the method and its baseline at equal budget. The
check calls it once a seed with PyTorch's random state set to that seed, so whatever both sides share (initial
weights, batches, splits) is the same for both, and the pairs may be compared seed by seed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from gossamer.compression import Compressed, Method, compress
from gossamer.errors import DataError, GossamerError, TrainingError
from gossamer.tasks import datasets
from gossamer.tasks.task import Task
from gossamer.train import Training


class Untestable(GossamerError):  # noqa: N818  a state of a claim as much as an error
    """A claim, or a whole experiment, cannot be checked here; the message says what it needs.

    Raise it where nothing can be measured, or return it in place of a `Pair` where one claim cannot.
    """


@dataclass(frozen=True)
class Pair:
    """One seed's observation of a claim: the method's value and its baseline's, in the unit of the claim's metric.

    Raises:
        TrainingError: A value is not finite.
    """

    measured: float
    baseline: float

    def __post_init__(self) -> None:
        """Refuses NaN and infinities: there is nothing to compare."""
        if not (math.isfinite(self.measured) and math.isfinite(self.baseline)):
            raise TrainingError(
                f"measured {self.measured}, baseline {self.baseline}; expected finite numbers: "
                "the training diverged, or the metric is not defined"
            )


@dataclass(frozen=True)
class Run:
    """One call of an experiment.

    Attributes:
        seed: At least 0; PyTorch's random state is already set to it.
        folder: For checkpoints; kept if the run is killed, removed once the seed is done.
        say: Shows a few words on what is being done beside the progress bar.
    """

    seed: int
    folder: Path
    say: Callable[[str], None]

    def compress(self, name: str, model: nn.Module, task: Task, method: Method, training: Training) -> Compressed:
        """Returns `gossamer.compress` of a network, of this seed, resumable, without kernels and times.

        Args:
            name: What to show, and to call the checkpoint; once a run.
            model: The network; left untouched, so that all methods start from the same one.
            task: What it must do.
            method: How to make it smaller.
            training: How to train it.
        """
        self.say(name)
        return compress(
            model,
            task,
            method,
            training=training,
            seed=self.seed,
            label=name,
            checkpoint=self.folder / re.sub(r"[^A-Za-z0-9.]+", "-", name),
            accelerate=False,
            latency=False,
            progress=False,
        )


Outcome = Mapping[str, Pair | Untestable]  # one entry for every claim, by its id
Experiment = Callable[[Any, Run], Outcome]


def dataset(name: str, **options: Any) -> Task:
    """Returns `datasets.task(name, **options)`.

    Raises:
        Untestable: Its files are not here and cannot be downloaded.
        DataError, SettingError: As `datasets.task` otherwise.
    """
    try:
        return datasets.task(name, **options)
    except DataError as error:
        if any(known.name == name and not known.present for known in datasets.describe()):
            raise Untestable(
                f"needs the data set {name}, which is not here; `gossamer datasets` says where it is looked for"
            ) from error
        raise
