from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from gossamer import cli
from gossamer.errors import DataError, FileError, SettingError
from gossamer.graph import talk_events
from gossamer.stream import LinkLearner, Online, replay
from gossamer.stream.replay import CHECKPOINT, RESULT, order_of_arrival
from gossamer.tasks import WalkVectors
from gossamer.tasks.temporal import Events

SETTINGS = Online(batch=150, walks=WalkVectors(per_node=3, dimensions=4), hidden=8)


@pytest.fixture(scope="module")
def events() -> Events:
    return Events.of(talk_events(120, 2000, seed=5))


def in_order_of_arrival(events):
    number = order_of_arrival(events)
    return number[events.source], number[events.target]


def scores(result):
    return [(score.events, score.pairs, score.correct, score.auroc) for score in result.scores]


def test_every_event_is_scored_once(events):
    result = replay(events, SETTINGS)
    assert result.events == sum(score.events for score in result.scores) == 2000
    assert [score.events for score in result.scores] == [150] * 13 + [50]
    assert result.pairs == sum(score.pairs for score in result.scores) == 4000
    assert result.correct == sum(score.correct for score in result.scores)
    assert set(result.seconds) == {"score", "insert", "negatives", "walk", "embed", "train"}
    assert scores(replay(events, SETTINGS)) == scores(result)
    assert scores(replay(events, SETTINGS, seed=1)) != scores(result)


def test_a_batch_is_scored_before_it_is_learned(events):
    """The first batches' scores do not depend on the labels that come with them or later."""
    source, target = in_order_of_arrival(events)
    learner = LinkLearner(SETTINGS)
    learner.update(source[:600], target[:600], events.time[:600])
    network = [weight.clone() for weight in learner.network.parameters()]
    vectors = learner.vectors.clone()
    seen = {}

    def watch(left, right):
        seen["same"] = all(map(torch.equal, network, learner.network.parameters()))
        seen["vectors"] = torch.equal(learner.vectors[: len(vectors)], vectors)
        return LinkLearner._score(learner, left, right)

    learner._score = watch  # type: ignore[method-assign]
    learner.update(source[600:700], target[600:700], events.time[600:700])
    assert seen == {"same": True, "vectors": True}
    assert not all(map(torch.equal, network, learner.network.parameters()))


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_only_what_walks_reach_changes_and_the_rest_is_shortened(events, keep):
    source, target = in_order_of_arrival(events)
    learner = LinkLearner(SETTINGS.replace(keep=keep))
    learner.update(source[:1500], target[:1500], events.time[:1500])
    before = learner.vectors.clone()
    learner.update(source[1500:1510], target[1500:1510], events.time[1500:1510])
    changed = (learner.vectors[: len(before)] != keep * before).any(dim=1)
    assert 0 < changed.sum() < len(before) / 2


def test_the_score_is_that_of_scikit_learn(events, monkeypatch):
    found = {}
    ranks = sys.modules["gossamer.stream.learner"].rankdata
    monkeypatch.setattr(
        "gossamer.stream.learner.rankdata", lambda output: found.setdefault("output", output) * 0 + ranks(output)
    )
    source, target = in_order_of_arrival(events)
    score = LinkLearner(SETTINGS).update(source[:400], target[:400], events.time[:400])
    output = found["output"]
    truth = np.arange(len(output)) < 400
    assert score.auroc == pytest.approx(roc_auc_score(truth, output))
    assert score.correct == int(((output > 0) == truth).sum())


def test_it_learns(events):
    """Pairs that come again and again are told from pairs that never come."""
    random = np.random.default_rng(0)
    left = random.integers(40, size=6000)
    right = (left + 1 + random.integers(3, size=6000)) % 40
    ring = Events(torch.from_numpy(left), torch.from_numpy(right), torch.arange(6000), 40)
    settings = Online(batch=200, walks=WalkVectors(dimensions=16, epochs=3), learning_rate=0.5, epochs=5)
    late = replay(ring, settings).scores[-5:]
    assert sum(score.auroc for score in late) / 5 > 0.8


def test_starting_anew_forgets_the_past(events):
    result = replay(events[:600], SETTINGS.replace(batch=200, warm=False, epochs_anew=2))
    assert [score.events for score in result.scores] == [200] * 3


def test_a_killed_stream_ends_with_the_same_numbers(events, tmp_path):
    """Killed by SIGKILL between two checkpoints, and resumed: nothing is lost or counted twice."""
    whole = replay(events, SETTINGS)
    script = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from gossamer.graph import talk_events
from gossamer.stream import replay
from gossamer.tasks.temporal import Events
from tests.stream.test_replay import SETTINGS
def said(done):
    if done >= 1200:
        os.kill(os.getpid(), signal.SIGKILL)
replay(Events.of(talk_events(120, 2000, seed=5)), SETTINGS, out=sys.argv[1], checkpoint_events=400, said=said)
"""
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, cwd=Path(__file__).parents[2], env=dict(os.environ)
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / RESULT).exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        done: list[int] = []
        resumed = replay(events, SETTINGS, out=tmp_path, checkpoint_events=400, said=done.append)
    finally:
        torch.set_num_threads(threads)
    assert done[0] == 1050  # the checkpoint was at event 900
    assert (resumed.events, resumed.pairs, resumed.correct) == (2000, whole.pairs, whole.correct)
    assert scores(resumed) == scores(whole)
    assert json.loads((tmp_path / RESULT).read_text())["correct"] == whole.correct


def test_a_finished_stream_given_again_says_the_same(events, tmp_path):
    once = replay(events, SETTINGS, out=tmp_path)
    again = replay(events, SETTINGS, out=tmp_path, said=lambda done: pytest.fail("there was nothing left"))
    assert scores(again) == scores(once)


def test_another_stream_is_refused(events, tmp_path):
    replay(events[:300], SETTINGS, out=tmp_path)
    with pytest.raises(FileError, match="another stream"):
        replay(events, SETTINGS, out=tmp_path)
    with pytest.raises(FileError, match="another stream"):
        replay(events[:300], SETTINGS.replace(batch=100), out=tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"no state")
    with pytest.raises(FileError, match="truncated or foreign"):
        replay(events[:300], SETTINGS, out=tmp_path)


def test_wrong_streams_are_refused(events):
    with pytest.raises(DataError, match="no events"):
        replay(events[:0])
    with pytest.raises(SettingError, match="in_time"):
        LinkLearner(Online(walks=WalkVectors(in_time=False)))
    learner = LinkLearner(SETTINGS)
    learner.update(torch.tensor([0]), torch.tensor([1]), torch.tensor([5]))
    with pytest.raises(DataError, match="times fall"):
        learner.update(torch.tensor([0]), torch.tensor([1]), torch.tensor([4]))
    assert learner.events == 1
    with pytest.raises(DataError, match="no events"):
        learner.update(*[torch.empty(0, dtype=torch.int64)] * 3)


def test_nodes_are_numbered_as_they_arrive(events):
    source, target = in_order_of_arrival(events)
    seen = torch.stack([source, target], dim=1).flatten()
    highest = seen.cummax(0).values
    assert (seen[1:] <= highest[:-1] + 1).all()
    assert len(seen.unique()) == highest[-1] + 1


def test_both_ways_walks_against_the_direction_too(events):
    settings = SETTINGS.replace(walks=SETTINGS.walks.replace(both_ways=True))
    source, target = in_order_of_arrival(events)
    learner = LinkLearner(settings)
    learner.update(source[:100], target[:100], events.time[:100])
    assert (learner.graph.num_edges, learner.events) == (200, 100)


def test_the_command(tmp_path, capsys):
    lines = "source,target,time\n" + "".join(f"a{i % 7},b{(3 * i) % 11},{i}\n" for i in range(300))
    (tmp_path / "events.csv").write_text(lines)
    words = ["stream", "--data", str(tmp_path / "events.csv"), "--out", str(tmp_path / "run"), "--batch", "50"]
    assert cli.main([*words, "--walks", "dimensions=4,per_node=2", "--network", "hidden=8"]) == 0
    said = capsys.readouterr().out
    assert "300 events" in said
    assert "Stages: read" in said
    result = json.loads((tmp_path / "run" / RESULT).read_text())
    assert (result["events"], len(result["batches"])) == (300, 6)
    assert cli.main([*words, "--walks", "step=4"]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
