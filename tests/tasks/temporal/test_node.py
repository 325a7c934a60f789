from __future__ import annotations

import dataclasses

import pytest
import torch

from gossamer.errors import DataError
from gossamer.graph import community_events, talk_events
from gossamer.models import default_training, for_task
from gossamer.tasks import TemporalNode, datasets
from gossamer.train import Training, fit


def test_communities_are_told_from_walks():
    task = datasets.task("communities")
    assert isinstance(task, TemporalNode)
    torch.manual_seed(0)
    model = for_task("fnn-node", task)
    fit(model, task, Training.from_json(default_training("fnn-node")), progress=False)
    assert task.evaluate(model, "test")["accuracy"] > 0.8  # by chance 0.1


def test_splits_hold_each_labelled_node_once():
    graph = community_events(100, 2000, classes=4)
    y = graph.y.clone()
    y[:10] = -1
    task = TemporalNode(dataclasses.replace(graph, y=y))
    nodes = torch.cat([task._rows(split, 0, 0)[0][:, 0] for split in ("train", "val", "test")])
    assert nodes.sort().values.tolist() == list(range(10, 100))
    assert [len(task._nodes[split]) for split in ("train", "val", "test")] == [54, 18, 18]
    batches = list(task.batches("train"))
    assert len(batches) == task.steps() == 4
    rows, truth = task._rows("train", 0, 0)
    found = {tuple(row) for batch in batches for row in batch.x.tolist()}
    assert found == {tuple(row) for row in task.vectors[rows[:, 0]].tolist()}
    assert torch.equal(torch.cat([batch.y for batch in batches]).sort().values, truth.sort().values)
    assert task.dimensions() == {"in_features": 64, "out_features": 4}


def test_data_without_labels_are_refused():
    with pytest.raises(DataError, match="no labels"):
        TemporalNode(talk_events(20, 50).to_graph())
    with pytest.raises(DataError, match="no labels"):
        datasets.task("talk", kind="temporal-node")
