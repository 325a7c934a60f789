from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gossamer import models
from gossamer.errors import SettingError
from gossamer.graph import Uniform, csbm
from gossamer.tasks import NodeClassification, SampledNodeClassification
from gossamer.train import Training, fit

GRAPH = csbm(300, 3, 16, degree=10.0, structure=1.5, signal=300.0, seed=2)


def full(graph=GRAPH, **more):
    return NodeClassification.from_graph(graph, per_class=40, val_per_class=20, **more)


def test_with_all_edges_the_loss_is_that_of_the_whole_graph():
    whole = full()
    model = models.build("sage", in_features=16, hidden=8, out_features=3, dropout=0.0)
    task = SampledNodeClassification(whole, [-1, -1], batch_size=50)
    assert task.steps() == 3
    parts = list(task.batches("train"))
    assert [part.num_seeds for part in parts] == [50, 50, 20]
    total = sum(task.loss(model, part) * part.num_seeds for part in parts) / 120
    torch.testing.assert_close(total, whole.loss(model, next(whole.batches("train"))))


@pytest.mark.parametrize("name", ["gcn", "sage", "gat"])
def test_training_in_batches_learns(name):
    whole = full()
    task = SampledNodeClassification(whole, [5, 5], batch_size=32, pick=Uniform())
    model = models.for_task(name, task, hidden=16)
    before = task.evaluate(model, "test")["accuracy"]
    fit(model, task, Training(epochs=15), progress=False)
    after = task.evaluate(model, "test")
    assert after == whole.evaluate(model, "test")
    assert after["accuracy"] > max(0.7, before)


def test_order_and_samples_depend_on_seed_and_epoch():
    task = SampledNodeClassification(full(), [2], batch_size=32)
    keys = [(0, 0), (0, 0), (0, 1), (1, 0)]
    runs = [[b.nodes.tolist() for b in task.batches("train", seed=seed, epoch=epoch)] for seed, epoch in keys]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2] != runs[3] != runs[0]
    fixed = [[b.nodes[: b.num_seeds].tolist() for b in task.batches("val", epoch=e)] for e in (0, 1)]
    assert fixed[0] == fixed[1]


def test_says_what_the_wrapped_task_says():
    whole = full()
    task = SampledNodeClassification(whole, [3, 3], batch_size=16)
    assert task.example() is whole.example()
    assert task.dimensions() == whole.dimensions() == {"in_features": 16, "out_features": 3}
    assert 0 < task.examples_per_step() < 1
    assert (task.name, task.metric) == (whole.name, whole.metric)
    moved = task.to("cpu")
    assert len(list(moved.batches("test"))) == len(list(task.batches("test")))


def test_a_pytorch_geometric_model_gets_an_edge_index():
    class Mean(torch.nn.Module):
        def forward(self, x, edge_index):
            assert edge_index.shape[0] == 2
            return x[:, :3]

    task = SampledNodeClassification(full(edge_index=True), [3], batch_size=16)
    batch = next(task.batches("train"))
    expected = F.cross_entropy(batch.graph.x[:16, :3], batch.graph.y[:16])
    torch.testing.assert_close(task.loss(Mean(), batch), expected)


def test_errors_name_what_is_wrong():
    with pytest.raises(SettingError, match="batch_size is 0"):
        SampledNodeClassification(full(), [3], batch_size=0)
    with pytest.raises(SettingError, match="fanouts: found none"):
        SampledNodeClassification(full(), [])
