"""Every task on graphs takes other edges, and leaves everything else as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.graph import Graph, csbm
from gossamer.graph.sparsify import RandomEdges, Spectral, sparsify
from gossamer.models import build
from gossamer.tasks import (
    GraphClassification,
    LinkPrediction,
    NodeClassification,
    SampledNodeClassification,
    Task,
)
from tests.battery.networks import NETWORKS

GRAPH = csbm(60, 3, 8, seed=0)


def nodes(**options: bool) -> NodeClassification:
    return NodeClassification.from_graph(GRAPH, per_class=6, val_per_class=6, **options)


def graphs(**options: bool) -> GraphClassification:
    many = [dataclasses.replace(csbm(12, 2, 8, degree=4.0, seed=i), y=torch.tensor(i % 3), masks={}) for i in range(12)]
    return GraphClassification(many, batch_size=4, val=0.3, test=0.3, **options)


TASKS: dict[str, Callable[[], Task]] = {
    "nodes": nodes,
    "nodes of PyG": lambda: nodes(edge_index=True),
    "sampled": lambda: SampledNodeClassification(nodes(), [4, 4], batch_size=9),
    "links": lambda: LinkPrediction(Graph(GRAPH.adjacency, x=GRAPH.x)),
    "links of PyG": lambda: LinkPrediction(Graph(GRAPH.adjacency, x=GRAPH.x), edge_index=True),
    "graphs": graphs,
    "graphs of PyG": lambda: graphs(edge_index=True),
}
each = pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)


def network(task: Task) -> nn.Module:
    torch.manual_seed(0)
    return build("gcn", in_features=8, hidden=6, out_features=3, per_graph=len(task.example()) == 3)


def edges_of(example: tuple[object, ...]) -> int:
    found = example[1]
    return found.shape[1] if isinstance(found, Tensor) else found.num_edges  # type: ignore[attr-defined,no-any-return]


@each
def test_messages_follow_the_edges_given(make: Callable[[], Task]) -> None:
    task = make()
    fewer = task.on_graphs([sparsify(graph, RandomEdges(), 0.5, seed=1).graph for graph in task.graphs()])
    assert (task.whole, fewer.whole) == (None, task)
    assert sum(graph.num_edges for graph in fewer.graphs()) < sum(graph.num_edges for graph in task.graphs())
    assert edges_of(fewer.example()) < edges_of(task.example())
    assert type(fewer.example()[1]) is type(task.example()[1])
    model = network(task).eval()
    (one, *_), (other, *_) = (list(which.batches("train")) for which in (task, fewer))
    assert not torch.equal(task.loss(model, one), fewer.loss(model, other))
    assert (fewer.steps(), fewer.dimensions()) == (task.steps(), task.dimensions())
    assert fewer.evaluate(model, "test").keys() == task.evaluate(model, "test").keys()


@each
def test_the_same_edges_give_the_same_task(make: Callable[[], Task]) -> None:
    task = make()
    half = task.on_graphs([sparsify(graph, RandomEdges(), 0.5).graph for graph in task.graphs()])
    back = half.on_graphs(task.graphs())
    assert back.whole is task
    model = network(task).eval()
    for one, other in zip(task.batches("train", seed=3), back.batches("train", seed=3), strict=True):
        assert torch.equal(task.loss(model, one), back.loss(model, other))
    assert task.evaluate(model, "val") == back.evaluate(model, "val")
    moved = half.to("cpu")
    assert moved.evaluate(model, "val") == half.evaluate(model, "val")
    assert edges_of(half.on_graphs(half.graphs(), as_graph=True).example()) == edges_of(half.example())


@each
def test_as_graph_hands_over_graphs(make: Callable[[], Task]) -> None:
    task = make()
    as_graph = task.on_graphs(task.graphs(), as_graph=True)
    assert isinstance(as_graph.example()[1], Graph)
    model = network(task).eval()
    assert as_graph.evaluate(model, "val") == pytest.approx(task.evaluate(model, "val"))


@each
def test_other_nodes_are_refused(make: Callable[[], Task]) -> None:
    task = make()
    with pytest.raises(DataError, match="remove edges and no nodes"):
        task.on_graphs([*task.graphs(), task.graphs()[0]])
    with pytest.raises(DataError, match=r"found \d+ graphs of \d+ nodes, expected"):
        task.on_graphs([csbm(70, 3, 8, seed=0)] * len(task.graphs()))


def test_weights_reach_networks_that_take_an_edge_index() -> None:
    for make in (TASKS["nodes of PyG"], TASKS["links of PyG"]):
        task = make()
        weighted = task.on_graphs([sparsify(task.graphs()[0], Spectral(), 0.4).graph])
        _, edges, weights = weighted.example()
        assert weights.shape == edges.shape[1:]


@pytest.mark.parametrize("network", [one for one in NETWORKS if not one.graph], ids=lambda one: one.name)
def test_tasks_without_a_graph_say_so(network: object) -> None:
    task = network.task()  # type: ignore[attr-defined]
    assert task.graphs() == ()
    with pytest.raises(DataError, match="no graph whose edges could change"):
        task.on_graphs([])
