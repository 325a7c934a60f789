from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer import cli
from gossamer.errors import DataError, SettingError
from gossamer.graph import community_events
from gossamer.stream import NodeLearner, Online, OnlineNodes, replay
from gossamer.stream.replay import order_of_arrival
from gossamer.tasks import WalkVectors
from gossamer.tasks.temporal import Events

SETTINGS = OnlineNodes(
    batch=200, walks=WalkVectors(per_node=4, steps=4, dimensions=16), hidden=(16,), learning_rate=0.01
)


@pytest.fixture(scope="module")
def graph():
    return community_events(60, 3000, classes=3, contrast=20.0, seed=2)


def arriving(graph, learner=None):
    events = Events.of(graph)
    number = order_of_arrival(events)
    labels = torch.empty_like(graph.y)
    labels[number] = graph.y
    return number[events.source], number[events.target], events.time.double(), labels


def test_classes_are_learned_from_the_stream():
    clear = community_events(60, 3000, classes=3, contrast=50.0, seed=2)
    settings = SETTINGS.replace(walks=SETTINGS.walks.replace(learning_rate=0.5), learning_rate=0.02, epochs=2)
    result = replay(Events.of(clear), settings, labels=clear.y)
    late = result.scores[-5:]
    assert result.events == 3000
    assert sum(score.correct for score in late) > 0.7 * sum(score.pairs for score in late) > 0
    assert result.accuracy == result.correct / result.pairs


def test_labels_that_are_held_out_change_nothing(graph):
    source, target, moment, labels = arriving(graph)
    learner = NodeLearner(labels, SETTINGS)
    held = np.random.default_rng([2, 0]).random(len(labels)) < SETTINGS.held_out
    other = labels.clone()
    other[torch.from_numpy(held)] = (other[torch.from_numpy(held)] + 1) % 3
    blind = NodeLearner(other, SETTINGS)
    for begin in range(0, 1000, 200):
        some = slice(begin, begin + 200)
        one, two = (each.update(source[some], target[some], moment[some]) for each in (learner, blind))
        assert one.pairs == two.pairs
    assert all(map(torch.equal, learner.network.parameters(), blind.network.parameters()))
    assert 0.2 < held.mean() < 0.6


def test_only_nodes_that_were_met_are_scored(graph):
    source, target, moment, labels = arriving(graph)
    learner = NodeLearner(labels, SETTINGS)
    assert learner.update(source[:50], target[:50], moment[:50]).pairs == 0
    met = set(source[:50].tolist()) | set(target[:50].tolist())
    touched = set(source[50:90].tolist()) | set(target[50:90].tolist())
    held = np.flatnonzero(np.random.default_rng([2, 0]).random(len(labels)) < SETTINGS.held_out)
    assert learner.update(source[50:90], target[50:90], moment[50:90]).pairs == len(met & touched & set(held.tolist()))


def test_a_stopped_stream_goes_on_with_the_same_numbers(graph, tmp_path):
    events = Events.of(graph)

    class StoppedError(Exception):
        pass

    def said(done):
        if done >= 1500:
            raise StoppedError

    whole = replay(events, SETTINGS, labels=graph.y)
    with pytest.raises(StoppedError):
        replay(events, SETTINGS, labels=graph.y, out=tmp_path, checkpoint_events=400, said=said)
    done: list[int] = []
    again = replay(events, SETTINGS, labels=graph.y, out=tmp_path, checkpoint_events=400, said=done.append)
    assert done[0] == 1400  # the checkpoint was at event 1200
    assert [(one.pairs, one.correct) for one in again.scores] == [(one.pairs, one.correct) for one in whole.scores]


def test_starting_anew_forgets_the_past(graph):
    result = replay(Events.of(graph)[:600], SETTINGS.replace(warm=False, epochs_anew=2), labels=graph.y)
    assert [score.events for score in result.scores] == [200] * 3


def test_wrong_settings_are_refused(graph):
    events = Events.of(graph)
    with pytest.raises(SettingError, match="expected OnlineNodes"):
        replay(events, Online(), labels=graph.y)
    with pytest.raises(SettingError, match="there are no labels"):
        replay(events, OnlineNodes())
    with pytest.raises(DataError, match="at least 2"):
        NodeLearner(torch.zeros(5, dtype=torch.int64))


def test_the_command(tmp_path, capsys):
    words = ["stream", "--data", "communities", "--task", "temporal-node", "--out", str(tmp_path), "--limit", "2000"]
    assert cli.main([*words, "--walks", "per_node=2,epochs=1", "--network", "hidden=[8],held_out=0.5"]) == 0
    said = capsys.readouterr().out
    assert "2,000 events" in said
    assert "whose labels were never learned" in said
    assert cli.main(["stream", "--data", "talk", "--task", "temporal-node", "--out", str(tmp_path / "no")]) == 2
    assert "the nodes have no labels" in capsys.readouterr().err
