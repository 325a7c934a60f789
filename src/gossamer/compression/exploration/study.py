"""The Optuna study behind an exploration: which settings to try next, shared by all processes with its storage.

The search is NSGA-II (Deb et al., IEEE Transactions on Evolutionary Computation 2002) with constrained domination.
What it draws for a trial depends on the seed, the trial's number and the trials before it, so a single process repeats
itself; with several, the order in which trials finish has its say.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from gossamer.compression.exploration.space import Choices, Space, Value
from gossamer.errors import FileError

JOURNAL = "trials.journal"
_WORKER = "worker"  # attributes of a trial
_CELL = "cell"
_VALUES = "values"
_REDRAWS = 100  # draws of nothing new after which an exploration ends


class ByNumber(BaseSampler):
    """NSGA-II, seeded anew for each trial by its number, whichever process runs it."""

    def __init__(self, seed: int, population: int) -> None:
        self._seed, self._population = seed, population
        self._sampler = self._seeded(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seeds the sampler."""
        self._sampler = self._seeded(trial.number)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As NSGA-II."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As NSGA-II."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As NSGA-II."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def _seeded(self, number: int) -> NSGAIISampler:
        return NSGAIISampler(seed=(self._seed * 1_000_003 + number) % 2**32, population_size=self._population)


class JournalLock(JournalFileOpenLock):
    """The journal's lock, which the kernel frees when a process is killed; whoever gets it mends what was left.

    A process killed while it writes leaves half a line, after which nothing could be read: it is cut off.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal = journal
        self._lock = FileLock(journal.with_suffix(".lock"))

    def acquire(self) -> bool:
        """Waits for the lock."""
        self._lock.acquire()
        with self._journal.open("r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            if size and (stream.seek(size - 1), stream.read(1))[1] != b"\n":
                stream.seek(0)
                stream.truncate(stream.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Gives the lock back."""
        self._lock.release()


class Shared:
    """One study and this process's part in it.

    Args:
        out: Folder of the exploration; holds the journal, unless there is another storage, and the processes' locks.
        name: Of the study; another name in the same journal is another exploration.
        directions: One an objective, "maximize" or "minimize".
        space: What is varied.
        trials: How many trials the study is to have.
        seed: Of what is drawn.
        storage: URL of a database that Optuna knows; None for the journal in `out`.

    Raises:
        FileError: The journal is of another exploration, or cannot be read.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        directions: Sequence[Literal["minimize", "maximize"]],
        space: Space,
        *,
        trials: int,
        seed: int,
        storage: str | None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._trials = space, trials
        self._workers = out / "workers"
        self._workers.mkdir(parents=True, exist_ok=True)
        self._me = f"{socket.gethostname()}-{os.getpid()}"
        self._turn = FileLock(out / "turn.lock")
        with self._turn:
            self.study = optuna.create_study(
                study_name=name,
                storage=_storage(out, name) if storage is None else storage,
                sampler=ByNumber(seed, population=max(4, round(2 * trials**0.5))),
                directions=directions,
                load_if_exists=True,
            )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Tells the other processes for as long as it is open that this one is alive."""
        lock = FileLock(self._lock(self._me))
        with lock:
            yield
        self._lock(self._me).unlink(missing_ok=True)

    def next(self) -> tuple[Trial, dict[str, Value]] | None:
        """Returns a trial to run and its values; None if enough have been run or are being run.

        A trial of a process that is no more is given up and run again with the values it had. Values that were had
        before are drawn anew; where nothing new comes up, there is nothing left to explore.
        """
        with self._turn:
            self._bury()
            if len(self.finished()) + len(self._running()) >= self._trials:
                return None
            seen = [trial.user_attrs.get(_VALUES) for trial in [*self.finished(), *self._running()]]
            for _ in range(_REDRAWS):
                trial = self.study.ask()
                trial.set_user_attr(_WORKER, self._me)
                values = self._draw(trial)
                if values not in seen:
                    break
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                return None
            trial.set_user_attr(_VALUES, values)
            return trial, values

    def tell(
        self, trial: Trial, cell: Mapping[str, Any], values: Sequence[float] | None, excess: Mapping[str, float]
    ) -> None:
        """Notes how a trial ended.

        Args:
            trial: What `next` returned.
            cell: Its record, kept with it.
            values: One an objective; None where it failed.
            excess: By how much each bound is exceeded, by name.
        """
        trial.set_user_attr(_CELL, dict(cell))
        for name, over in excess.items():
            trial.set_constraint(name, over)
        self.study.tell(trial, values, state=TrialState.FAIL if values is None else TrialState.COMPLETE)

    def cells(self) -> list[dict[str, Any]]:
        """Returns the records of the finished trials, in order."""
        return [trial.user_attrs[_CELL] for trial in self.finished() if _CELL in trial.user_attrs]

    def finished(self) -> list[FrozenTrial]:
        """Returns the trials that came to an end of their own, in order: not those of killed processes."""
        return [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished() and trial.state != TrialState.PRUNED
        ]

    def _draw(self, trial: Trial) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, dimension in self._space.items():
            if isinstance(dimension, Choices):
                values[name] = trial.suggest_categorical(name, dimension.values)
            elif dimension.whole:
                values[name] = trial.suggest_int(name, int(dimension.low), int(dimension.high))
            else:
                drawn = float(f"{trial.suggest_float(name, dimension.low, dimension.high):.4g}")
                values[name] = min(max(drawn, dimension.low), dimension.high)
        return values

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _bury(self) -> None:
        """Gives up the trials of processes of this folder that are no more."""
        for trial in self._running():
            worker = trial.user_attrs.get(_WORKER)
            if worker is None or worker == self._me or not self._dead(worker):
                continue
            self.study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
            if trial.params:
                self.study.enqueue_trial(trial.params)

    def _dead(self, worker: str) -> bool:
        path = self._lock(worker)
        if not path.exists():
            return False  # of another folder, on another machine perhaps
        try:
            with FileLock(path, timeout=0):
                return True
        except Timeout:
            return False

    def _lock(self, worker: str) -> Path:
        return self._workers / f"{worker}.lock"


def _storage(out: Path, name: str) -> BaseStorage:
    path = out / JOURNAL
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))
        others = {study.study_name for study in storage.get_all_studies()} - {name}
    except (OSError, ValueError, KeyError) as error:
        raise FileError(f"{path}: cannot be read as Optuna's journal ({error}); choose another folder") from error
    if others:
        raise FileError(
            f"{path}: holds another exploration (other settings, objectives, data or training); choose another folder"
        )
    return storage
