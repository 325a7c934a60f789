"""Settles the methods of a comparison under its budgets, before anything is trained and on a quiet machine.

What the search for one method and budget finds is written to the comparison's folder and not searched for again: a
latency measured a second time would find another setting, and with it another cell.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from gossamer.compression.cell import Work
from gossamer.compression.folder import Folder
from gossamer.compression.method import Method
from gossamer.compression.search import settle
from gossamer.compression.trial import untrained
from gossamer.cost import Budget
from gossamer.errors import FileError, SettingError
from gossamer.files import read_json, write_json
from gossamer.tasks.task import Task

_MEASURED = frozenset({"latency_ms", "peak_memory_bytes"})


def timed(budget: Budget) -> bool:
    """Says whether a budget bounds anything that has to be measured."""
    return not _MEASURED.isdisjoint(budget.bounds())


def settled(
    folder: Folder, label: str, method: Method, budget: Budget, *, work: Work, task: Task, seed: int, names: Any
) -> Method:
    """Returns `method` with its knob where the budget wants it, from the folder if it was found before.

    Args:
        folder: Of the comparison.
        label: What the caller calls the method.
        method: It has a knob.
        budget: What its network may take.
        work: Gives the network that is tried; the cost of an untrained one tells, as it depends on the zeros alone.
        task: Of `seed`.
        seed: Of the network that is tried.
        names: What else decides which search it is, as JSON.

    Raises:
        SettingError, ModelError: The budget cannot be searched for, or the method refuses the network.
        FileError: The file of an earlier search is damaged, or this one's could not be written.
    """
    text = str(budget)
    what = json.dumps([method.to_json(), text, seed, names, work.accelerate], sort_keys=True)
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{label}-{text}").strip("-")
    name = f"{readable}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"
    path = folder.path / "settings" / f"{name}.json"
    with folder.locked(f"settings/{name}.lock"):
        if not path.exists():
            trial = untrained(
                work.make_model(seed), task, (), budget, training=work.training, seed=seed, accelerate=work.accelerate
            )
            write_json(path, settle(method, budget, trial).to_json())
        found = read_json(path)
    try:
        return method.replace(**{method.knob: found["method"][method.knob]})
    except (KeyError, TypeError, SettingError) as error:
        raise FileError(f"{path}: does not hold a setting of {label} ({error!r}); delete the file") from error
