from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from gossamer.errors import DataError, ModelError, SettingError
from gossamer.graph import EdgeList, talk_events
from gossamer.models import for_task
from gossamer.tasks import TemporalLink, WalkVectors, datasets
from gossamer.tasks.task import Task
from gossamer.tasks.temporal import Events
from gossamer.train import SGD, Training, fit
from gossamer.train.hooks import NoHooks


@pytest.fixture(scope="module")
def edges() -> EdgeList:
    return talk_events(150, 2000, seed=3)


def pairs_of(task: TemporalLink, split: str, **key: int) -> tuple[torch.Tensor, torch.Tensor]:
    return task._rows(split, key.get("seed", 0), key.get("epoch", 0))


def test_the_earliest_events_train_and_the_latest_test(edges):
    shuffled = edges.take(np.random.default_rng(0).permutation(len(edges)))
    parts = TemporalLink(shuffled).splits
    assert [len(parts[part]) for part in ("train", "val", "test")] == [1200, 400, 400]
    assert parts["train"].time.max() <= parts["val"].time.min()
    assert parts["val"].time.max() <= parts["test"].time.min()
    assert torch.equal(torch.cat([part.time for part in parts.values()]), torch.tensor(edges.time))


def test_nothing_after_training_changes_vectors_or_training_pairs(edges):
    """What comes later is replaced altogether: all that training sees stays the same, to the bit."""
    late = np.arange(len(edges)) >= 1200
    other = EdgeList(
        np.where(late, edges.source[::-1], edges.source),
        np.where(late, edges.target[::-1], edges.target),
        edges.ids,
        time=edges.time,
    )
    one, two = TemporalLink(edges), TemporalLink(other)
    assert torch.equal(one.vectors, two.vectors)
    for batch, same in zip(one.batches("train", seed=4), two.batches("train", seed=4), strict=True):
        assert torch.equal(batch.x, same.x)
        assert torch.equal(batch.y, same.y)
    leaky = [TemporalLink(data, leaky=True).vectors for data in (edges, other)]
    assert not torch.equal(*leaky)


def test_the_protocol_of_the_papers_code_draws_overlapping_splits_before_the_test(edges):
    task = TemporalLink(edges, leaky=True)
    parts = task.splits
    assert [len(parts[part]) for part in ("train", "val", "test")] == [1200, 400, 400]
    assert torch.equal(parts["test"].time, torch.tensor(edges.time)[1600:])
    assert max(parts["train"].time.max(), parts["val"].time.max()) <= parts["test"].time.min()
    assert parts["train"].time.max() > parts["val"].time.min()


def test_drawn_pairs_are_no_events(edges):
    every = set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    task = TemporalLink(edges)
    seen = {split: task.splits[split] for split in ("train", "val", "test")}
    for split in ("val", "test"):
        pairs, y = pairs_of(task, split)
        assert not every & set(map(tuple, pairs[y == 0].tolist()))
        assert torch.equal(pairs[y == 1][:, 0], seen[split].source)
    train = set(zip(seen["train"].source.tolist(), seen["train"].target.tolist(), strict=True))
    pairs, y = pairs_of(task, "train", epoch=1)
    drawn = set(map(tuple, pairs[y == 0].tolist()))
    assert not train & drawn
    kept = (pairs[y == 0][:, 0] == pairs[y == 1][:, 0]).double().mean()
    assert 0.4 < kept < 0.62  # half keep the source
    assert not torch.equal(pairs_of(task, "train", epoch=2)[0], pairs)
    assert torch.equal(pairs_of(task, "train", epoch=1)[0], pairs)


def test_drawn_pairs_are_of_nodes_that_were_met_by_then():
    """Nodes come and go; one that comes after training must not be in training as half of a pair without an edge."""
    moment = torch.arange(600)
    source = moment // 100 * 10 + torch.randint(0, 5, (600,), generator=torch.Generator().manual_seed(0))
    target = source + 5
    task = TemporalLink(Events(source, target, moment, 70))  # 60 to 69 have no events
    met: set[int] = set()
    for split in ("train", "val", "test"):
        pairs, y = pairs_of(task, split)
        met |= set(pairs[y == 1].flatten().tolist())
        drawn = set(pairs[y == 0].flatten().tolist())
        assert drawn <= met
        assert len(drawn) > 0.8 * len(met)
    leaky, y = pairs_of(TemporalLink(Events(source, target, moment, 70), leaky=True), "train")
    assert (leaky[y == 0] >= 60).any()


def test_what_is_known_of_nodes_is_told_apart(edges):
    task = TemporalLink(edges)
    model = for_task("fnn", task)
    pairs, y = pairs_of(task, "test")
    train = task.splits["train"]
    met = set(train.source.tolist()) | set(train.target.tolist())
    known = torch.tensor([set(pair) <= met for pair in pairs.tolist()])
    assert 0 < known.sum() < len(known)
    with torch.no_grad():
        scores = model(task.vectors[pairs].flatten(1))[:, 0]
    assert task.evaluate(model, "test")["auroc_known"] == pytest.approx(roc_auc_score(y[known], scores[known]))
    assert "auroc_known" not in task.evaluate(model, "train")


def test_a_node_joined_to_all_others_gets_pairs_of_others():
    source = torch.tensor([0, 0, 0, 1, 2, 3] * 5)
    target = torch.tensor([1, 2, 3, 0, 0, 0] * 5)
    task = TemporalLink(Events(source, target, torch.arange(30), 4))
    pairs, y = pairs_of(task, "train")
    assert not (pairs[y == 0] == 0).any()


def test_batches_hold_the_vectors_of_both_ends(edges):
    task = TemporalLink(edges, batch_size=500, walks=WalkVectors(dimensions=4))
    batches = list(task.batches("train", seed=1))
    assert len(batches) == task.steps() == 5
    assert [len(batch.y) for batch in batches] == [500] * 4 + [400]
    pairs, y = pairs_of(task, "train", seed=1)
    x = torch.cat([task.vectors[pairs[:, 0]], task.vectors[pairs[:, 1]]], dim=1)
    rows = {tuple(row) for row in torch.cat([x, y[:, None]], dim=1).tolist()}
    assert {tuple(row) for batch in batches for row in torch.cat([batch.x, batch.y[:, None]], dim=1).tolist()} == rows
    assert task.dimensions() == {"in_features": 8, "out_features": 1}
    assert task.examples_per_step() == pytest.approx(2400 / 5 / 500)


def test_metrics_are_those_of_scikit_learn(edges):
    task = TemporalLink(edges)
    model = for_task("fnn", task)
    found = task.evaluate(model, "test")
    pairs, y = pairs_of(task, "test")
    with torch.no_grad():
        scores = model(task.vectors[pairs].flatten(1))[:, 0]
    assert next(iter(found)) == task.metric == "auroc"
    assert found["auroc"] == pytest.approx(roc_auc_score(y, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(y, scores))
    assert found["accuracy"] == pytest.approx(float(((scores > 0) == (y > 0)).double().mean()))
    train = set(zip(task.splits["train"].source.tolist(), task.splits["train"].target.tolist(), strict=True))
    new = torch.tensor([truth == 0 or tuple(pair) not in train for pair, truth in zip(pairs.tolist(), y, strict=True)])
    assert found["auroc_new"] == pytest.approx(roc_auc_score(y[new], scores[new]))
    assert "auroc_new" not in task.evaluate(model, "train")


def test_a_network_learns_from_it(edges):
    task = TemporalLink(edges, walks=WalkVectors(epochs=5))
    torch.manual_seed(0)
    model = for_task("fnn", task)
    before = task.evaluate(model, "train")["auroc"]
    fit(model, task, Training(epochs=10, optimizer=SGD(learning_rate=0.2)), progress=False)
    assert task.evaluate(model, "train")["auroc"] > max(before, 0.6)


def test_seeds_decide_all(edges):
    one, again, other = (TemporalLink(edges, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.vectors, again.vectors)
    assert torch.equal(pairs_of(one, "test")[0], pairs_of(again, "test")[0])
    assert not torch.equal(one.vectors, other.vectors)
    assert not torch.equal(pairs_of(one, "test")[0], pairs_of(other, "test")[0])
    assert set(one.stages()) == {"walk", "embed"}


def test_a_kind_of_task_is_made_by_name():
    task = datasets.task("talk", kind="temporal-link", dimensions=4, leaky=True, seed=2)
    assert isinstance(task, TemporalLink)
    assert (task.name, task.vectors.shape[1]) == ("talk", 4)
    with pytest.raises(SettingError, match="unknown kind of task 'temporal-lnk'; did you mean 'temporal-link'"):
        datasets.task("talk", kind="temporal-lnk")
    with pytest.raises(SettingError, match="unknown option of temporal-link 'step'; did you mean 'steps'"):
        datasets.task("talk", kind="temporal-link", step=4)


def test_what_does_not_fit_is_refused(edges):
    with pytest.raises(DataError, match="no time"):
        TemporalLink(EdgeList(edges.source, edges.target, edges.ids))
    with pytest.raises(DataError, match="2 events make"):
        TemporalLink(edges.take(np.arange(2)))
    with pytest.raises(SettingError, match="test is"):
        TemporalLink(edges, val=0.5, test=0.5)
    task = TemporalLink(edges)
    with pytest.raises(ModelError, match=r"expected a Tensor of shape \(1024, 1\)"):
        task.loss(nn.Linear(16, 2), next(task.batches("train")))
    with pytest.raises(ModelError, match=r"gcn needs a graph.*use fnn, fnn-node, mlp"):
        for_task("gcn", task)


def test_spans_are_split_each_by_itself_and_set_against_their_own_pairs():
    """Four days of 25 nodes each that never come again."""
    random = np.random.default_rng(0)
    day = np.arange(1200) // 300
    source, target = (random.integers(25, size=1200) + 25 * day for _ in range(2))
    keep = source != target
    time = (1000 * (day + 3) + np.arange(1200) % 300)[keep]
    edges = EdgeList(source[keep], target[keep], np.arange(100), time=time)
    task = TemporalLink(edges, span=1000, seed=1)
    for number in range(4):
        mine = [part.time[part.time // 1000 == number + 3] for part in task.splits.values()]
        count = int((time // 1000 == number + 3).sum())
        assert [len(some) for some in mine] == [count - 2 * round(0.2 * count), *[round(0.2 * count)] * 2]
        assert mine[0].max() <= mine[1].min()
        assert mine[1].max() <= mine[2].min()
    every = set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    for split, part in task.splits.items():
        pairs, _ = pairs_of(task, split)
        events, drawn = pairs[: len(part)], pairs[len(part) :]
        assert torch.equal(events, torch.stack([part.source, part.target], dim=1))
        assert torch.equal(drawn // 25, (events // 25)[:, :1].expand(-1, 2))
        taken = every if split != "train" else set(map(tuple, events.tolist()))
        assert not taken & set(map(tuple, drawn.tolist()))
    pair = EdgeList(np.tile([0, 1], 6), np.tile([1, 0], 6), np.arange(100), time=np.arange(12))
    both = {name: np.concatenate([getattr(pair, name), getattr(edges, name)]) for name in ("source", "target", "time")}
    joined = EdgeList(both["source"], both["target"], np.arange(100), time=both["time"])
    rows, _ = pairs_of(TemporalLink(joined, span=1000), "test")  # the first span has two nodes, both ways joined
    assert len(rows) == 2 * len(TemporalLink(joined, span=1000).splits["test"])
    with pytest.raises(SettingError, match="span and leaky are both given"):
        TemporalLink(edges, span=1000, leaky=True)
    with pytest.raises(SettingError, match="span"):
        TemporalLink(edges, span=0.0)


class Pressed(NoHooks):
    """Adds the squares of the weights to the loss."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.losses = model, []

    def after_loss(self, loss: torch.Tensor) -> None:
        self.losses.append(float(loss))

    def penalty(self) -> torch.Tensor:
        return 0.01 * sum(part.square().sum() for part in self.model.parameters())


@pytest.mark.parametrize("pressed", [False, True])
def test_learning_without_automatic_differentiation_is_the_same(edges, pressed, monkeypatch):
    task, found = TemporalLink(edges, batch_size=100), []
    for short in (True, False):
        if not short:
            monkeypatch.setattr(TemporalLink, "learn", Task.learn)
        torch.manual_seed(1)
        model = for_task("fnn", task)
        hooks = Pressed(model) if pressed else NoHooks()
        history = fit(model, task, Training(epochs=2, optimizer=SGD()), hooks=hooks, progress=False)
        found.append((model.state_dict(), history.train_loss, hooks.losses if pressed else []))
    for name, value in found[0][0].items():
        torch.testing.assert_close(value, found[1][0][name], rtol=1e-3, atol=1e-5)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-4)
    assert found[0][2] == pytest.approx(found[1][2], rel=1e-4)
