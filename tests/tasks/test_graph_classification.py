import dataclasses
from itertools import chain

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.nn import global_mean_pool

from gossamer.errors import DataError, ModelError, SettingError
from gossamer.graph import CSR, Graph, random_graph
from gossamer.tasks import GraphClassification
from gossamer.tasks.graph_classification import side_by_side


def some(count, *, features=3, weighted=False):
    """Graphs of 2, 3, 4, ... nodes; the class is whether the number of nodes is odd."""
    made = []
    for i in range(count):
        nodes = 2 + i % 5
        graph = random_graph(nodes, 2, seed=i)
        x = torch.randn(nodes, features, generator=torch.Generator().manual_seed(i)) if features else None
        values = torch.full((graph.num_edges,), i + 1.0) if weighted else None
        adjacency = graph.adjacency.with_values(values)
        made.append(dataclasses.replace(graph, adjacency=adjacency, x=x, y=torch.tensor([nodes % 2])))
    return made


class Mean(nn.Module):
    """The mean of what the neighbours send, through one layer."""

    def __init__(self, features=3, classes=2):
        super().__init__()
        self.layer = nn.Linear(features, classes)

    def forward(self, x, graph, batch):
        return self.layer(global_mean_pool(graph.aggregate(x), batch))


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 8), weighted=st.booleans())
def test_graphs_side_by_side_are_the_batch_of_pyg(count, weighted):
    graphs = some(count, weighted=weighted)
    batch = side_by_side(graphs, torch.cat([graph.y for graph in graphs]))
    expected = Batch.from_data_list([graph.to_pyg() for graph in graphs])
    torch.testing.assert_close(batch.x, expected.x)
    torch.testing.assert_close(batch.batch, expected.batch)
    torch.testing.assert_close(batch.y, expected.y)
    assert torch.equal(batch.graph.to_edge_index(), expected.edge_index)
    if weighted:
        torch.testing.assert_close(batch.graph.weights, expected.edge_weight)


def test_a_batch_computes_what_its_graphs_compute_alone():
    graphs = some(6)
    model = Mean()
    batch = side_by_side(graphs, torch.cat([graph.y for graph in graphs]))
    together = model(batch.x, batch.graph, batch.batch)
    alone = [model(graph.x, graph, torch.zeros(graph.num_nodes, dtype=torch.int64)) for graph in graphs]
    torch.testing.assert_close(together, torch.cat(alone))


def test_batches_hold_every_training_graph_once_in_an_order_of_seed_and_epoch():
    task = GraphClassification(some(53), batch_size=10, val=0.1, test=0.1, seed=2)

    def order(seed, epoch):
        return [batch.x[:, 0].tolist() for batch in task.batches("train", seed=seed, epoch=epoch)]

    sizes = [len(batch.y) for batch in task.batches("train")]
    assert len(sizes) == task.steps() == 5
    assert sum(sizes) == 43
    assert max(sizes) - min(sizes) <= 1
    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)
    assert sorted(chain.from_iterable(order(1, 1))) == sorted(chain.from_iterable(order(2, 5)))


def test_loss_and_metrics_are_those_of_the_formula():
    task, model = GraphClassification(some(40), seed=1), Mean()
    batch = next(task.batches("train"))
    logits = model(batch.x, batch.graph, batch.batch)
    torch.testing.assert_close(task.loss(model, batch), F.cross_entropy(logits, batch.y))
    (test,) = task.batches("test")
    right = (model(test.x, test.graph, test.batch).argmax(1) == test.y).float().mean().item()
    assert task.evaluate(model, "test")["accuracy"] == pytest.approx(right)


def test_a_step_is_counted_in_nodes_of_the_example():
    task = GraphClassification(some(50), batch_size=8, example_batch=2)
    x, graph, batch = task.example()
    assert batch.bincount().tolist() == [4, 4]  # the sizes are 2..6 nodes
    assert x.shape[0] == graph.num_nodes == 8
    mean = sum(batch.graph.num_nodes for batch in task.batches("train")) / task.steps()
    assert task.examples_per_step() == pytest.approx(mean / 8)


def test_degrees_serve_where_there_are_no_features():
    star = Graph.from_edge_index(torch.stack([torch.arange(1, 100), torch.zeros(99, dtype=torch.int64)]), 100)
    graphs = [dataclasses.replace(star, y=torch.tensor(i % 2)) for i in range(5)]
    task = GraphClassification(graphs, val=0.2, test=0.2)
    x, graph, _ = task.example()
    assert task.dimensions() == {"in_features": 64, "out_features": 2}
    assert torch.equal(x.argmax(1), graph.degrees().clamp(max=63))
    assert torch.equal(x.sum(1), torch.ones(100))


def test_sparse_features_and_edge_index():
    graphs = [dataclasses.replace(graph, x=CSR.from_dense(graph.x)) for graph in some(10)]
    task = GraphClassification(graphs, edge_index=True)
    x, edge_index, batch = task.example()
    assert x.dtype == torch.float32
    assert edge_index.shape[0] == 2
    assert len(batch) == len(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "graph 1 has no label"),
        ({"y": torch.tensor([1, 0])}, r"graph 1 has labels torch.int64 of shape \(2,\)"),
        ({"y": torch.tensor([-3])}, "first at row 1 with value -3"),
        ({"x": torch.ones(3, 7)}, "graph 1 has 7 features, expected 3"),
        ({"x": torch.full((3, 3), float("nan"))}, "features of graph 1: 9 values"),
    ],
)
def test_the_graph_that_does_not_fit_is_named(change, message):
    graphs = some(10)
    graphs[1] = dataclasses.replace(graphs[1], **change)
    with pytest.raises(DataError, match=message):
        GraphClassification(graphs)


def test_no_graphs_and_graphs_without_nodes_are_refused():
    with pytest.raises(DataError, match="found no graphs"):
        GraphClassification([])
    nothing = Graph.from_edge_index(torch.zeros(2, 0, dtype=torch.int64), 0, y=torch.tensor(0))
    with pytest.raises(DataError, match="graph 0 has no nodes"):
        GraphClassification([nothing])
    with pytest.raises(SettingError, match="batch_size is 0; expected a number at least 1"):
        GraphClassification(some(10), batch_size=0)


def test_a_model_that_does_not_pool_is_refused():
    class PerNode(Mean):
        def forward(self, x, graph, batch):
            return self.layer(x)

    with pytest.raises(ModelError, match=r"one row a graph.*pool the nodes"):
        GraphClassification(some(20)).evaluate(PerNode(), "test")


def test_to_moves_everything():
    task = GraphClassification(some(20)).to("meta")
    x, graph, batch = task.example()
    assert {x.device.type, graph.device.type, batch.device.type} == {"meta"}
