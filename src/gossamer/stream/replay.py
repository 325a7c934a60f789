"""Replays a stream from a file to a learner, in batches, with checkpoints: a killed run goes on at its last one.

A checkpoint holds what was learned and the scores so far, together and whole or not at all; the events before it are
read again from the stream. So no event is lost or counted twice, and a run that was killed ends with the same numbers
as one that was not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gossamer.errors import DataError, FileError, SettingError
from gossamer.files import write_json
from gossamer.stream.base import Learner, Score
from gossamer.stream.learner import LinkLearner
from gossamer.stream.nodes import NodeLearner
from gossamer.stream.settings import Following, Online, OnlineNodes
from gossamer.tasks.temporal import Events
from gossamer.train.checkpoint import load_state, save_state

CHECKPOINT, RESULT = "stream.state", "stream.json"


@dataclass(frozen=True)
class StreamResult:
    """What a stream's events were worth before they were learned from."""

    events: int
    pairs: int  # events, and about as many drawn pairs without one; or nodes
    correct: int  # of the pairs
    scores: tuple[Score, ...]  # batch by batch
    seconds: dict[str, float]  # by stage, over all sittings

    @property
    def accuracy(self) -> float:
        """The share of pairs that were told right, each before it was learned from; nan where there was none."""
        return self.correct / self.pairs if self.pairs else math.nan

    @property
    def auroc(self) -> float:
        """The mean area under the ROC curve of the batches, each weighted by its events; nan where there is none."""
        known = [(score.auroc, score.events) for score in self.scores if not math.isnan(score.auroc)]
        return sum(area * count for area, count in known) / sum(count for _, count in known) if known else math.nan

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object: totals, seconds by stage, and the batches."""
        area, accuracy = self.auroc, self.accuracy
        return {
            "events": self.events,
            "pairs": self.pairs,
            "correct": self.correct,
            "accuracy": None if math.isnan(accuracy) else accuracy,
            "auroc": None if math.isnan(area) else area,
            "seconds": self.seconds,
            "batches": [{**asdict(one), "auroc": None if math.isnan(one.auroc) else one.auroc} for one in self.scores],
        }


def replay(
    events: Events,
    settings: Online | OnlineNodes | None = None,
    *,
    labels: Tensor | None = None,
    out: str | Path | None = None,
    checkpoint_events: int = 100_000,
    seed: int = 0,
    said: Callable[[int], None] | None = None,
) -> StreamResult:
    """Scores and learns every event of a stream, in order.

    Args:
        events: The stream; nodes are numbered anew, in the order of their first event.
        settings: How it is learned.
        labels: (nodes,) classes from 0, -1 where unknown: then these are learned, with `OnlineNodes`, and not links.
        out: A folder for checkpoints and the result; a run that was stopped there goes on. None keeps nothing.
        checkpoint_events: Events between two checkpoints, to the next whole batch.
        seed: Of all that is random.
        said: Called with the number of events done after each batch.

    Raises:
        DataError: There are no events.
        FileError: The folder holds the checkpoint of another stream, or of other settings, or a damaged one.
    """
    if not len(events):
        raise DataError("the stream has no events; expected at least one")
    number = order_of_arrival(events)
    source, target = number[events.source], number[events.target]
    moment = events.time.double()
    learner = _learner(settings, labels, number, seed)
    following = learner.following
    file = None if out is None else Path(out) / CHECKPOINT
    scores: list[Score] = []
    mark = _mark(events, labels, following, seed) if file is not None else ""
    if file is not None and file.is_file():
        scores = _resume(file, mark, learner, (source, target, moment))
    saved = learner.events
    for begin in range(learner.events, len(source), following.batch):
        some = slice(begin, begin + following.batch)
        scores.append(learner.update(source[some], target[some], moment[some]))
        if said is not None:
            said(learner.events)
        if file is not None and learner.events - saved >= checkpoint_events:
            _save(file, mark, learner, scores)
            saved = learner.events
    if file is not None and saved < learner.events:
        _save(file, mark, learner, scores)
    result = StreamResult(
        learner.events,
        sum(score.pairs for score in scores),
        sum(score.correct for score in scores),
        tuple(scores),
        dict(learner.seconds),
    )
    if file is not None:
        write_json(file.with_name(RESULT), result.to_json())
    return result


def _learner(settings: Following | None, labels: Tensor | None, number: Tensor, seed: int) -> Learner:
    if labels is None:
        if isinstance(settings, OnlineNodes):
            raise SettingError(
                "settings are OnlineNodes and there are no labels; give labels, or settings that are Online"
            )
        assert settings is None or isinstance(settings, Online)
        return LinkLearner(settings, seed=seed)
    if isinstance(settings, Online):
        raise SettingError("settings are Online and there are labels; expected OnlineNodes")
    assert settings is None or isinstance(settings, OnlineNodes)
    arriving = torch.empty_like(labels, dtype=torch.int64)
    arriving[number] = labels.long()
    return NodeLearner(arriving, settings, seed=seed)


def order_of_arrival(events: Events) -> Tensor:
    """Returns each node's number, (nodes,), in the order of first events, a source before its target."""
    ends = torch.stack([events.source, events.target], dim=1).flatten()
    first = torch.full((events.nodes,), len(ends))
    first.scatter_reduce_(0, ends, torch.arange(len(ends)), reduce="amin")
    number = torch.empty(events.nodes, dtype=torch.int64)
    number[torch.argsort(first)] = torch.arange(events.nodes)
    return number


def _mark(events: Events, labels: Tensor | None, settings: Following, seed: int) -> str:
    """Returns what tells this stream, learned this way, from others."""
    digest = hashlib.sha256(repr((settings.to_json(), seed, torch.get_num_threads())).encode())
    for part in (events.source, events.target, events.time, *([] if labels is None else [labels])):
        digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()


def _save(file: Path, mark: str, learner: Learner, scores: list[Score]) -> None:
    rows = [[score.events, score.pairs, score.correct, score.auroc] for score in scores]
    save_state(file, {"mark": mark, "scores": torch.tensor(rows, dtype=torch.float64), "learner": learner.state()})


def _resume(file: Path, mark: str, learner: Learner, stream: tuple[Tensor, Tensor, Tensor]) -> list[Score]:
    state = load_state(file)
    if state.get("mark") != mark:
        raise FileError(f"{file}: is of another stream, or of other settings; give another folder, or delete it")
    done = state["learner"]["events"]
    learner.restore(state["learner"], *(part[:done] for part in stream))
    return [
        Score(int(events), int(pairs), int(correct), area) for events, pairs, correct, area in state["scores"].tolist()
    ]
