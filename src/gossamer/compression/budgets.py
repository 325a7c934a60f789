"""Settles the methods of a comparison under its budgets, before anything is trained and on a quiet machine.

What the search for one method and budget finds is written to the comparison's folder and not searched for again: a
latency measured a second time would find another setting, and with it another cell.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from gossamer.compression.cell import Work, text_of
from gossamer.compression.compress import compress
from gossamer.compression.folder import Folder
from gossamer.compression.method import Method
from gossamer.compression.search import find_setting
from gossamer.cost import Budget, Cost
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
    text = text_of(budget)
    what = json.dumps([method.to_json(), text, seed, names, work.accelerate], sort_keys=True)
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{label}-{text}").strip("-")
    name = f"{readable}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"
    path = folder.path / "settings" / f"{name}.json"
    with folder.locked(f"settings/{name}.lock"):
        if not path.exists():
            write_json(path, _search(method, budget, work, task, seed))
        found = read_json(path)
    try:
        return method.replace(**{method.knob: found["method"][method.knob]})
    except (KeyError, TypeError, SettingError) as error:
        raise FileError(f"{path}: does not hold a setting of {label} ({error!r}); delete the file") from error


def _search(method: Method, budget: Budget, work: Work, task: Task, seed: int) -> dict[str, Any]:
    trials: list[dict[str, Any]] = []
    model = work.make_model(seed)

    def trial(candidate: Method) -> Cost:
        cost = compress(
            model,
            task,
            candidate,
            training=work.training.replace(epochs=0),
            seed=seed,
            accelerate=work.accelerate and timed(budget),
            latency=timed(budget),
            progress=False,
        ).cost
        trials.append({"value": getattr(candidate, candidate.knob), "cost": cost.to_json()})
        return cost

    found = find_setting(method, budget, trial)
    value = getattr(found, found.knob)
    cost = next(tried["cost"] for tried in reversed(trials) if tried["value"] == value)
    met = budget.met_by(Cost.from_json(cost))
    return {"method": found.to_json(), "cost": cost, "met": met, "trials": trials}
