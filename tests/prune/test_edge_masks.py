from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import APPNP
from torch_geometric.nn import GATConv as PyGGAT
from torch_geometric.nn import GCNConv as PyGGCN
from torch_geometric.nn import GINConv as PyGGIN
from torch_geometric.nn import SAGEConv as PyGSAGE

from gossamer.graph import CSR, Graph, csbm
from gossamer.models import build
from gossamer.nn import GATConv, GCNConv, GINConv, SAGEConv
from gossamer.prune.edge_masks import EdgeMasks, MaskedTask
from gossamer.tasks import (
    GraphClassification,
    LinkPrediction,
    NodeClassification,
    SampledNodeClassification,
    Task,
)

GRAPH = csbm(40, 3, 8, seed=0)


def node_task(**options: Any) -> NodeClassification:
    return NodeClassification.from_graph(GRAPH, per_class=4, val_per_class=4, **options)


class One(nn.Module):
    """A network of one layer on edges."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, edges: Any) -> Tensor:
        out: Tensor = self.layer(x, edges)
        return out[:, :3]


class Weighing(One):
    def forward(self, x: Tensor, edges: Any, edge_weight: Tensor | None = None) -> Tensor:
        out: Tensor = self.layer(x, edges, edge_weight)
        return out


def drawn(task: Task) -> EdgeMasks:
    masks = EdgeMasks(task)
    masks.set(torch.rand(len(masks.keep), generator=torch.Generator().manual_seed(1)) + 0.2)
    return masks


def gradient(model: nn.Module, task: Task, masks: EdgeMasks) -> tuple[Tensor, Tensor]:
    masked = MaskedTask(task, masks)
    loss = masked.loss(model, next(masked.batches("train")))
    (found,) = torch.autograd.grad(loss, [masks.values])
    return loss, found


def dense_mask(values: Tensor) -> Tensor:
    """Returns (N, N) of the masks, both directions of a link from the one number."""
    source, target = GRAPH.to_edge_index()
    low, high = torch.minimum(source, target), torch.maximum(source, target)
    _, link = torch.unique(low * GRAPH.num_nodes + high, return_inverse=True)
    return torch.zeros(GRAPH.num_nodes, GRAPH.num_nodes).index_put((target, source), values[link])


def gcn_reference(layer: Any, x: Tensor, masked: Tensor) -> Tensor:
    looped = masked + torch.eye(len(masked))
    scale = looped.sum(1).rsqrt()
    return scale[:, None] * looped * scale @ layer(x)


def check(model: nn.Module, reference: Callable[[Tensor, Tensor], Tensor], **options: Any) -> None:
    """Compares loss and gradient with dense autograd."""
    task = node_task(**options)
    masks = drawn(task)
    loss, found = gradient(model.eval(), task, masks)
    values = masks.values.detach().clone().requires_grad_()
    rows = task.graph.masks["train"]
    assert isinstance(GRAPH.x, Tensor)
    assert GRAPH.y is not None
    expected = F.cross_entropy(reference(GRAPH.x, dense_mask(values))[rows], GRAPH.y[rows])
    torch.testing.assert_close(loss, expected)
    (wanted,) = torch.autograd.grad(expected, [values])
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)


def attention_reference(layer: Any, x: Tensor, masked: Tensor) -> Tensor:
    projected = layer.linear(x).view(-1, *layer.source.shape)
    looped = masked + torch.eye(len(masked))
    heads = []
    for head in range(projected.shape[1]):
        mine = projected[:, head]
        score = F.leaky_relu((mine @ layer.target[head])[:, None] + (mine @ layer.source[head])[None, :], layer.slope)
        weight = looped * score.exp()
        heads.append(weight / weight.sum(1, keepdim=True) @ mine)
    return torch.cat(heads, dim=1) + layer.bias


def test_gradients_are_those_of_dense_autograd_for_our_layers() -> None:
    torch.manual_seed(0)
    layer: Any = GCNConv(8, 3)
    check(One(layer), lambda x, a: gcn_reference(layer.linear, x, a) + layer.bias)
    sage: Any = SAGEConv(8, 3)
    check(One(sage), lambda x, a: sage.root(x) + sage.neighbours(a / a.sum(1, keepdim=True) @ x))
    gin: Any = GINConv(8, 8, 3, normalize=False)
    check(One(gin), lambda x, a: gin.second(torch.relu(gin.first(x + a @ x) + gin.bias)))
    gat: Any = GATConv(8, 3, heads=1)
    check(One(gat), lambda x, a: attention_reference(gat, x, a))


def test_gradients_are_those_of_dense_autograd_for_pygs_layers() -> None:
    torch.manual_seed(0)
    layer: Any = PyGGCN(8, 3)
    for model in (One(layer), Weighing(layer)):  # given to the layer, or to the network
        check(model, lambda x, a: gcn_reference(layer.lin, x, a) + layer.bias, edge_index=True)
    gin: Any = PyGGIN(nn.Linear(8, 3))
    check(One(gin), lambda x, a: gin.nn(x + a @ x), edge_index=True)
    counts = GRAPH.degrees()[:, None]
    sage: Any = PyGSAGE(8, 3)
    check(One(sage), lambda x, a: sage.lin_l(a @ x / counts) + sage.lin_r(x), edge_index=True)
    ours: Any = GCNConv(8, 3)
    check(One(ours), lambda x, a: gcn_reference(ours.linear, x, a) + ours.bias, edge_index=True)


@pytest.mark.parametrize("edge_index", [False, True])
def test_a_mask_of_ones_changes_nothing_and_zeros_are_no_edges(edge_index: bool) -> None:
    torch.manual_seed(0)
    task = node_task(edge_index=edge_index)
    layers: list[nn.Module] = [GCNConv(8, 3), SAGEConv(8, 3), GINConv(8, 8, 3), GATConv(8, 1, heads=3)]
    if edge_index:
        layers += [PyGGCN(8, 3), PyGGIN(nn.Linear(8, 3)), PyGGAT(8, 3), APPNP(2, 0.1)]
    for layer in layers:
        model = One(layer).eval()
        masks = EdgeMasks(task)
        masked = MaskedTask(task, masks)
        (rows,) = task.batches("train")
        torch.testing.assert_close(masked.loss(model, rows), task.loss(model, rows))
        keep = torch.rand(len(masks.keep)) < 0.6
        masks.remove(keep)
        whole = masks.remaining()
        if not isinstance(layer, PyGGAT):  # whose softmax PyG makes before the messages
            everything = EdgeMasks(task)
            everything.set(keep.float())
            zeros = MaskedTask(task, everything)
            torch.testing.assert_close(zeros.loss(model, rows), whole.loss(model, rows))
            assert zeros.evaluate(model, "val") == pytest.approx(whole.evaluate(model, "val"))
        torch.testing.assert_close(masked.loss(model, rows), whole.loss(model, rows))
        masks.learning = False
        assert torch.equal(masked.loss(model, rows), whole.loss(model, rows))
        assert not layer._forward_pre_hooks


def test_every_task_on_graphs_has_masks() -> None:
    torch.manual_seed(0)
    small = [
        dataclasses.replace(csbm(12, 2, 5, degree=4.0, seed=i), y=torch.tensor(i % 2), masks={}) for i in range(12)
    ]
    gcn = build("gcn", in_features=8, hidden=8, out_features=3)
    tasks: list[tuple[Task, nn.Module]] = [
        (node_task(), gcn),
        (SampledNodeClassification(node_task(), [3, 3], batch_size=6), gcn),
        (LinkPrediction(Graph(GRAPH.adjacency, x=GRAPH.x), val=0.1, test=0.1), gcn),
        (LinkPrediction(Graph(GRAPH.adjacency, x=GRAPH.x), val=0.1, test=0.1, edge_index=True), gcn),
        *(
            (
                GraphClassification(small, batch_size=4, edge_index=edge_index),
                build("gin", in_features=5, hidden=8, out_features=2, per_graph=True),
            )
            for edge_index in (False, True)
        ),
    ]
    for task, model in tasks:
        masks = EdgeMasks(task)
        loss, found = gradient(model.train(), task, masks)
        assert bool(torch.isfinite(loss))
        assert int(found.count_nonzero()) > 0, task.name
        assert sum(masks.counts) == len(masks.keep)
        masks.remove(torch.arange(len(masks.keep)) % 2 == 0)
        fewer = masks.remaining()
        assert sum(graph.num_edges for graph in fewer.graphs()) < sum(graph.num_edges for graph in task.graphs())
        masked = MaskedTask(task, masks)
        assert masked.evaluate(model, "val").keys() == task.evaluate(model, "val").keys()
        assert (masked.steps(), masked.examples_per_step()) == (task.steps(), task.examples_per_step())


def test_weights_of_the_graph_are_multiplied() -> None:
    weights = torch.rand(GRAPH.num_edges) + 0.5
    graph = dataclasses.replace(GRAPH, adjacency=GRAPH.adjacency.with_values(weights)).to_undirected()
    task = NodeClassification.from_graph(dataclasses.replace(graph, x=GRAPH.x), per_class=4, val_per_class=4)
    masks = drawn(task)
    model = One(GCNConv(8, 3))
    loss, _ = gradient(model, task, masks)
    dense = dense_mask(masks.values.detach()) * graph.adjacency.to_dense()
    same = dataclasses.replace(graph, adjacency=CSR.from_dense(dense))
    torch.testing.assert_close(loss, task.on_graphs([same]).loss(model, next(task.batches("train"))))
