"""Runs a paper's experiment over seeds, each on disk before the next starts.

A check's folder is `out/<paper>/<scale>-<digest>/`; the digest stands for the experiment's settings, all of
gossamer's code, PyTorch's version and the number of threads, so one sample never mixes them. In it lies
`seed-<n>.json` for every seed that is done. The same call again runs what is missing; with more seeds, it runs the
new ones.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import gossamer
from gossamer import machine
from gossamer.console import stderr
from gossamer.errors import FileError, MissingExtraError, SettingError
from gossamer.files import read_json, write_json
from gossamer.papers.protocol.evidence import Evidence, Observed
from gossamer.papers.protocol.experiment import Outcome, Pair, Run, Untestable
from gossamer.papers.protocol.paper import Paper, Scale
from gossamer.settings import Settings
from gossamer.tasks import locate
from gossamer.train.interrupt import Interrupted


def check(
    paper: Paper, scale: Scale = "small", *, seeds: int = 5, out: str | Path | None = None, progress: bool = True
) -> Evidence:
    """Checks the claims of one paper.

    Args:
        paper: From `papers()`, or one of your own.
        scale: Which of its settings.
        seeds: How many, at least 1: 0, 1, 2, ... A verdict takes 3.
        out: Folder of the observations; by default `papers` in the cache.
        progress: Show a progress bar.

    Returns:
        Observations and verdicts; all claims are untestable where the experiment needs what is not here.

    Raises:
        SettingError: Less than one seed, or the experiment does not answer for each claim.
        FileError: The folder cannot be written, or holds something else.
        Interrupted: Ctrl-C; the same call goes on.
        GossamerError: As the experiment raises.
    """
    if seeds < 1:
        raise SettingError(f"seeds is {seeds}; expected at least 1, and 3 for a verdict")
    setup, code = paper.scales[scale], code_digest()
    measured: dict[int, dict[str, Any]] = {}
    reason = ""
    if isinstance(setup, Untestable):
        reason = str(setup)
    else:
        folder = Path(locate.cache() / "papers" if out is None else out) / paper.id / f"{scale}-{_digest(setup, code)}"
        try:
            with _bar(progress) as bar:
                row = bar.add_task(f"{paper.id} {scale}", total=seeds, now="")
                for seed in range(seeds):
                    measured[seed] = _measured(paper, setup, seed, folder, lambda text: bar.update(row, now=text))
                    bar.advance(row)
        except (Untestable, MissingExtraError) as error:
            measured, reason = {}, str(error)
        except KeyboardInterrupt:
            done = f"{len(measured)} of {seeds} seeds are done"
            raise Interrupted(f"{paper.id}: stopped, {done}; the same command goes on from there") from None
    here = machine.describe()
    versions = {"gossamer": gossamer.__version__, "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in ("torch", "torch_geometric")}
    return Evidence(
        paper=paper.id,
        scale=scale,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        seconds=round(sum(record["seconds"] for record in measured.values()), 1),
        machine={name: value for name, value in here.items() if name not in versions},
        versions=versions,
        code=code,
        settings={} if isinstance(setup, Untestable) else setup.to_json(),
        claims=tuple(_observed(paper, place, measured, reason) for place in range(len(paper.claims))),
    )


def code_digest() -> str:
    """Returns 12 hexadecimal digits that any change to gossamer's Python files changes."""
    root = Path(gossamer.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _digest(setup: Settings, code: str) -> str:
    what = json.dumps([setup.to_json(), code, str(torch.__version__), torch.get_num_threads()], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()[:8]


def _measured(paper: Paper, setup: Settings, seed: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Returns the record of one seed, from its file if it is there."""
    path = folder / f"seed-{seed}.json"
    if path.exists():
        record = read_json(path)
        if not isinstance(record, dict) or set(record) != {"seconds", "outcome"}:
            raise FileError(f"{path}: is not the observation of a check; delete it or choose another folder")
        return record
    begun = time.monotonic()
    unfinished = folder / f"seed-{seed}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        say(f"seed {seed}")
        outcome = paper.experiment(setup, Run(seed, unfinished, lambda text: say(f"seed {seed}: {text}")))
    record = {"seconds": round(time.monotonic() - begun, 1), "outcome": _written(paper, outcome)}
    write_json(path, record)
    shutil.rmtree(unfinished, ignore_errors=True)
    return record


def _written(paper: Paper, outcome: Outcome) -> dict[str, Any]:
    expected = {claim.id for claim in paper.claims}
    if set(outcome) != expected:
        raise SettingError(
            f"the experiment of {paper.id} answers for {sorted(outcome)}; expected its claims, {sorted(expected)}"
        )
    return {
        name: [found.measured, found.baseline] if isinstance(found, Pair) else str(found)
        for name, found in outcome.items()
    }


def _observed(paper: Paper, place: int, measured: Mapping[int, Mapping[str, Any]], reason: str) -> Observed:
    """Gathers one claim's observations; where any seed could not observe it, none count."""
    claim = paper.claims[place]
    answers = {seed: record["outcome"][claim.id] for seed, record in measured.items()}
    untestable = [answer for answer in answers.values() if isinstance(answer, str)]
    if reason or untestable:
        return Observed(claim=claim, pairs={}, why=reason or untestable[0])
    return Observed(claim=claim, pairs={seed: Pair(*answer) for seed, answer in answers.items()})


def _bar(progress: bool) -> Progress:
    console = stderr()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
        console=console,
        disable=not (progress and console.is_terminal),
        transient=True,
    )
