import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

from gossamer.errors import DataError, ModelError
from gossamer.graph import CSR, Graph
from gossamer.tasks import NodeClassification

N, C = 12, 3


def labelled(**changes):
    """A ring of 12 nodes with 4 features, 3 classes, and a published split 6/3/3."""
    ring = torch.arange(N)
    edges = torch.stack([torch.cat([ring, ring.roll(1)]), torch.cat([ring.roll(1), ring])])
    part = torch.arange(N) % 4
    made = Graph.from_edge_index(
        edges,
        N,
        x=torch.randn(N, 4, generator=torch.Generator().manual_seed(0)),
        y=torch.arange(N) % C,
        masks={"train": part < 2, "val": part == 2, "test": part == 3},
    )
    return dataclasses.replace(made, **changes)


class Plain(nn.Module):
    """Looks at the features only; remembers what it was called with."""

    def __init__(self, columns=C):
        super().__init__()
        self.layer = nn.Linear(4, columns)

    def forward(self, *inputs):
        self.inputs = inputs
        x = inputs[0]
        return self.layer(x.to_dense() if isinstance(x, CSR) else x)


def test_loss_and_metrics_are_those_of_the_formula():
    graph, model = labelled(), Plain()
    task = NodeClassification(graph)
    (batch,) = task.batches("train")
    logits = model.layer(graph.x)
    for split in ("train", "val", "test"):
        mask = graph.masks[split]
        right = (logits.argmax(1) == graph.y)[mask].float().mean().item()
        assert task.evaluate(model, split)["accuracy"] == pytest.approx(right)
    mask = graph.masks["train"]
    torch.testing.assert_close(task.loss(model, batch), F.cross_entropy(logits[mask], graph.y[mask]))
    assert next(iter(task.evaluate(model, "val"))) == task.metric == "accuracy"
    assert (task.steps(), task.examples_per_step()) == (1, 1.0)
    assert task.dimensions() == {"in_features": 4, "out_features": C}


def test_the_model_is_called_with_the_example():
    task, model = NodeClassification(labelled()), Plain()
    task.evaluate(model, "test")
    assert all(got is given for got, given in zip(model.inputs, task.example(), strict=True))
    assert isinstance(task.example()[1], Graph)


def test_evaluate_leaves_the_mode_and_the_next_step_alone():
    class Normalised(Plain):
        def forward(self, x, graph):
            return self.layer(graph.add_self_loops().symmetric().aggregate(x))

    task, model = NodeClassification(labelled()), Normalised().train()
    task.evaluate(model, "val")  # the graph now keeps what was computed without gradients
    assert model.training
    (batch,) = task.batches("train")
    task.loss(model, batch).backward()
    assert model.layer.weight.grad.abs().sum() > 0


def test_a_pyg_model_of_ones_own_is_called_with_edge_index():
    graph = labelled(x=CSR.from_dense(torch.eye(N)))
    masks = {f"{split}_mask": mask for split, mask in graph.masks.items()}
    data = Data(x=torch.eye(N), edge_index=graph.to_edge_index(), y=graph.y[:, None], **masks)
    model = GCNConv(N, C)
    from_data = NodeClassification.from_pyg(data)
    from_graph = NodeClassification(graph, edge_index=True)
    expected = F.cross_entropy(model(data.x, data.edge_index)[data.train_mask], graph.y[data.train_mask])
    for task in (from_data, from_graph):
        (batch,) = task.batches("train")
        torch.testing.assert_close(task.loss(model, batch), expected)
        assert isinstance(task.example()[1], torch.Tensor)


def test_edge_weights_follow_a_pyg_edge_index():
    graph = labelled()
    weights = torch.linspace(0.1, 1.0, graph.num_edges)
    weighted = dataclasses.replace(graph, adjacency=graph.adjacency.with_values(weights))
    task = NodeClassification(weighted, edge_index=True)
    x, edge_index, given = task.example()
    torch.testing.assert_close(GCNConv(4, C)(x, edge_index, given).shape, torch.Size([N, C]))
    assert given is weights


def test_data_without_masks_gets_random_splits_by_seed():
    graph = labelled(masks={})
    data = Data(x=graph.x, edge_index=graph.to_edge_index(), y=graph.y)
    one, again, other = (
        NodeClassification.from_pyg(data, per_class=2, val_per_class=1, seed=seed) for seed in (0, 0, 1)
    )
    rows = [next(task.batches("train")).tolist() for task in (one, again, other)]
    assert rows[0] == rows[1] != rows[2]
    assert graph.y[rows[0]].bincount().tolist() == [2, 2, 2]


def test_one_of_several_published_splits_is_chosen():
    graph = labelled()
    several = {name: torch.stack([mask, mask.roll(1)], dim=1) for name, mask in graph.masks.items()}
    task = NodeClassification(dataclasses.replace(graph, masks=several), split=1)
    assert next(task.batches("val")).tolist() == graph.masks["val"].roll(1).nonzero().flatten().tolist()
    with pytest.raises(DataError, match=r"split 2 .* expected 0\.\.1"):
        NodeClassification(dataclasses.replace(graph, masks=several), split=2)


def test_auroc_is_the_headline_where_it_is_asked_for():
    graph = labelled(y=(torch.arange(N) % 3 == 0).long())
    model = Plain(2)
    task = NodeClassification(graph, metric="auroc")
    found = task.evaluate(model, "train")
    assert next(iter(found)) == task.metric == "auroc"
    score = model.layer(graph.x).softmax(dim=1)[:, 1]
    mask = graph.masks["train"]
    positive, negative = score[mask & (graph.y == 1)], score[mask & (graph.y == 0)]
    expected = (positive[:, None] > negative[None]).float().mean().item()  # the probability of a right order
    assert found["auroc"] == pytest.approx(expected)


def test_auroc_needs_two_classes_in_every_split():
    with pytest.raises(DataError, match="auroc needs 2 classes, found 3"):
        NodeClassification(labelled(), metric="auroc")
    with pytest.raises(DataError, match="the val split has one class only"):
        NodeClassification(
            labelled(y=(torch.arange(N) % 4 == 3).long().index_fill(0, torch.tensor([0]), 1)), metric="auroc"
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, "the graph has no x"),
        ({"y": None}, "the graph has no y"),
        ({"masks": {}}, "the graph has no train mask"),
        ({"x": torch.ones(N, 4).index_fill(0, torch.tensor([5]), np.nan)}, "4 values are NaN .* node 5, column 0"),
        ({"y": torch.arange(N) - 1}, "first at row 0 with value -1"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changes, message):
    with pytest.raises(DataError, match=message):
        NodeClassification(labelled(**changes))


def test_labels_beyond_the_stated_classes_are_named():
    with pytest.raises(DataError, match=r"first at row 2 with value 2; expected 0\.\.1"):
        NodeClassification(labelled(), classes=2)


def test_unknown_labels_outside_the_splits_are_welcome():
    graph = labelled()
    masks = graph.masks | {"test": graph.masks["test"] & (torch.arange(N) != 3)}
    task = NodeClassification(dataclasses.replace(graph, y=graph.y.index_fill(0, torch.tensor([3]), -1), masks=masks))
    assert task.dimensions()["out_features"] == C


def test_an_empty_split_cannot_be_evaluated():
    graph = labelled()
    nothing = torch.zeros(N, dtype=torch.bool)
    task = NodeClassification(dataclasses.replace(graph, masks=graph.masks | {"val": nothing}))
    with pytest.raises(DataError, match="the val split has no nodes"):
        task.evaluate(Plain(), "val")


def test_a_model_of_other_width_is_refused_before_the_loss():
    task = NodeClassification(labelled())
    (batch,) = task.batches("train")
    for call in (lambda: task.loss(Plain(5), batch), lambda: task.evaluate(Plain(5), "val")):
        with pytest.raises(ModelError, match=r"returned shape \(12, 5\), expected .*\(12, 3\).*out_features=3"):
            call()


def test_to_moves_everything_and_leaves_the_original():
    task = NodeClassification(labelled())
    moved = task.to("meta")
    assert {tensor.device.type for tensor in (moved.example()[0], moved.graph.y, next(moved.batches("val")))} == {
        "meta"
    }
    assert task.example()[0].device.type == "cpu"
