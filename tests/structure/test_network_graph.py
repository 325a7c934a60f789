"""Networks as graphs: there and back is the identity, gradients flow, and edges join what feeds what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.graph import csbm
from gossamer.models import build
from gossamer.structure import NetworkGraph, network_graph
from gossamer.tasks import NodeClassification
from tests.battery.networks import NETWORKS

IMAGE = torch.zeros(1, 3, 16, 16)


def nodes() -> NodeClassification:
    return NodeClassification.from_graph(csbm(40, 3, 12, seed=0), per_class=4, val_per_class=4)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 5, groups=8),
        nn.BatchNorm2d(8),
        nn.ConvTranspose2d(8, 6, 3, groups=2),
        nn.Conv2d(6, 4, 1),
    )


NETS: dict[str, Callable[[], tuple[nn.Module, tuple[object, ...]]]] = {
    **{one.name: lambda one=one: (one.model(), one.task().example()) for one in NETWORKS},
    "convolutions": lambda: (convolutions(), (IMAGE,)),
    "resnet8": lambda: (build("resnet20", in_channels=3, classes=4, depth=8), (IMAGE,)),
    "mixer": lambda: (build("mixer", in_channels=3, classes=4, image_size=16), (IMAGE,)),
    "vit": lambda: (build("vit", in_channels=3, classes=4, image_size=16), (IMAGE,)),
    "lstm": lambda: (nn.LSTM(4, 8), (torch.zeros(3, 2, 4),)),
    **{
        name: lambda name=name: (build(name, in_features=12, hidden=8, out_features=3), nodes().example())
        for name in ("sage", "gat", "gin")
    },
}


@pytest.mark.parametrize("name", NETS)
def test_there_and_back_is_the_identity(name: str) -> None:
    model, example = NETS[name]()
    graph = network_graph(model, tuple(example))
    x, edges = graph.encode(model)
    assert x.shape == (graph.num_nodes, 5)
    assert edges.shape == (graph.num_edges, 9)
    back, parameters = graph.decode(x, edges), dict(model.named_parameters())
    assert back.keys() | {*graph.left} == parameters.keys()
    assert back.keys().isdisjoint(graph.left)
    for key, value in back.items():
        assert torch.equal(value, parameters[key]), key
    assert int(graph.outputs.max()) < graph.num_nodes
    assert int(graph.inputs.max()) < graph.num_nodes


def pairs(graph: NetworkGraph) -> set[tuple[int, int]]:
    return set(zip(graph.outputs.tolist(), graph.inputs.tolist(), strict=True))


def test_a_perceptron_has_an_edge_for_each_weight() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    graph = network_graph(network, torch.zeros(1, 2))
    assert pairs(graph) == {(2 + i, j) for i in range(3) for j in range(2)} | {(5, 2 + i) for i in range(3)}
    x, edges = graph.encode(network)
    assert torch.equal(edges[:6, 4].view(3, 2), network[0].weight)
    assert torch.equal(x[2:5, 4], network[0].bias)
    assert edges[:, [0, 1, 2, 3, 5, 6, 7, 8]].abs().sum() == 0


class Shortcut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)
        self.branch, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2 * 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        return self.head((x + self.branch(x)).flatten(1))


@pytest.mark.parametrize(("ties", "count"), [("equal", 2), ("all", 4)])
def test_shortcuts_tie_and_flattened_places_are_edges_of_their_channel(ties: str, count: int) -> None:
    network = Shortcut()
    with torch.no_grad():
        network.norm.running_var.fill_(3.0)
    graph = network_graph(network, torch.zeros(1, 1, 2, 2), ties=ties)
    names = {layer.name: layer.start for layer in graph.layers}
    stem, branch, head = (names[f"{name}.weight"] for name in ("stem", "branch", "head"))
    assert graph.ties == count
    tied = list(zip(graph.outputs[-count:].tolist(), graph.inputs[-count:].tolist(), strict=True))
    assert {(branch, stem), (branch + 1, stem + 1)} <= set(tied)
    x, edges = graph.encode(network)
    assert [edge for edge, value in zip(tied, edges[-count:, 4].tolist(), strict=True) if value] == [
        (branch, stem),
        (branch + 1, stem + 1),
    ]
    weight = next(one for one in graph.weights if one.product.parameter == "head.weight")
    assert graph.inputs[weight.start : weight.stop].tolist() == [branch] * 4 + [branch + 1] * 4
    assert set(graph.outputs[weight.start : weight.stop].tolist()) == {head}
    assert x[stem : stem + 2, 3].tolist() == [3.0, 3.0]


def test_gradients_through_the_way_back_are_those_of_the_parameters() -> None:
    network = Shortcut()
    graph = network_graph(network, torch.zeros(1, 1, 2, 2))
    x, edges = (value.double().requires_grad_() for value in graph.encode(network))
    names = list(graph.decode(x, edges))

    def loss(x: Tensor, edges: Tensor) -> Tensor:
        tensors = graph.decode(x, edges)
        return sum(((place + 1) * tensors[name] ** 2).sum() for place, name in enumerate(names))

    assert torch.autograd.gradcheck(loss, (x, edges))


def test_what_is_no_network_of_layers_or_another_one_is_refused() -> None:
    with pytest.raises(ModelError, match="multiplies by no parameter"):
        network_graph(nn.PReLU(3), torch.zeros(1, 3))
    graph = network_graph(nn.Linear(2, 3), torch.zeros(1, 2))
    with pytest.raises(ModelError, match=r"expected the shape \(3, 2\), found \(4, 2\)"):
        graph.encode(nn.Linear(2, 4))
