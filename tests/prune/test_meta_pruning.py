"""Metanetworks: what they compute, what their training follows, and what becomes of a network they rewrite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gossamer
from gossamer.compression import compress
from gossamer.errors import FileError, ModelError, SettingError
from gossamer.prune.meta_pruning import MetaPruning
from gossamer.prune.meta_training import Lesson, MetaTraining, TrainedNetwork, train_metanetwork
from gossamer.prune.metanetwork import Metanetwork, MetanetworkShape, Way
from gossamer.structure import network_graph
from gossamer.train import Training
from tests.battery.networks import NETWORKS

MLP, CNN = NETWORKS[0], NETWORKS[1]
SMALL = MetanetworkShape(hidden=4, layers=2, change=0.1)


def test_pools_what_arrives_at_each_node() -> None:
    torch.manual_seed(0)
    sources, targets = torch.tensor([0, 1, 2, 0, 2]), torch.tensor([1, 1, 1, 2, 2])
    messages = torch.randn(5, 3, requires_grad=True)
    pooled = Way.between(sources, targets, 4).pooled(messages)
    for node in range(4):
        own = messages[targets == node]
        parts = [own.mean(0), (own.var(0, unbiased=False) + 1e-5).sqrt(), own.amax(0), own.amin(0)] if len(own) else []
        expected = torch.cat(parts) if parts else torch.tensor([0.0] * 3 + [1e-5**0.5] * 3 + [0.0] * 6)
        torch.testing.assert_close(pooled[node], expected, rtol=1e-4, atol=1e-4)
    pooled.sum().backward()
    assert torch.isfinite(messages.grad).all()


def plain(meta: Metanetwork, x: Tensor, edges: Tensor, out: Tensor, into: Tensor) -> tuple[Tensor, Tensor]:
    """The metanetwork edge by edge, without its kernels."""
    n, e = meta.nodes(x), meta.edges(edges)
    for layer in meta.layers:
        normed = F.layer_norm(n, n.shape[-1:])
        changes, edge_changes = torch.zeros_like(n), torch.zeros_like(e)
        for source, target, sign in ((out, into, torch.ones_like(meta.signs)), (into, out, meta.signs)):
            seen = e * sign
            sent, met = F.silu(layer.sent(normed)), F.silu(layer.met(normed))
            messages = met[target] * sent[source] * seen
            rows = []
            for node in range(len(x)):
                own = messages[target == node]
                own = own if len(own) else messages.new_zeros(1, messages.shape[1])
                deviation = (own.var(0, unbiased=False) + 1e-5).sqrt()
                rows.append(torch.cat([own.mean(0), deviation, own.amax(0), own.amin(0)]))
            changes = changes + layer.out(torch.stack(rows))
            gates = F.silu(layer.edge_source(normed))[source] * F.silu(layer.edge_target(normed))[target]
            edge_changes = edge_changes + sign * gates * seen
        n, e = n + changes, e + edge_changes
    return x + meta.shape.change * meta.to_nodes(n), edges + meta.shape.change * meta.to_edges(e)


def test_the_metanetwork_is_its_formula() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    graph = network_graph(network, torch.zeros(1, 3))
    meta = Metanetwork(SMALL)
    x, edges = graph.encode(network)
    expected = plain(meta, x, edges, graph.outputs, graph.inputs)
    for one, other in zip(meta(graph, x, edges), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_metanetwork_that_says_nothing_leaves_a_network_as_it_is() -> None:
    network = CNN.model()
    graph = network_graph(network, CNN.task().example())
    meta = Metanetwork(SMALL)
    assert any(not torch.equal(v, network.get_parameter(k)) for k, v in meta.rewrite(graph, network).items())
    for decoder in (meta.to_nodes, meta.to_edges):
        nn.init.zeros_(decoder[-1].weight)
        nn.init.zeros_(decoder[-1].bias)
    for name, value in meta.rewrite(graph, network).items():
        assert torch.equal(value, network.get_parameter(name)), name


def test_the_gradient_of_the_meta_loss_is_that_of_finite_differences() -> None:
    """Without pressure it is that of the summed loss; the pressure is that of ½ Σ γ w², γ held."""
    torch.manual_seed(2)
    network, task = CNN.model(), CNN.task()
    meta, lesson = Metanetwork(SMALL), Lesson(TrainedNetwork(network, task))
    training = MetaTraining(pressure=0.0)

    def summed() -> float:
        rewritten = {name: value.detach() for name, value in meta.rewrite(lesson.graph, network).items()}
        mean, _ = lesson.of_parameters(rewritten, training)
        return mean * task.steps()

    lesson.backward(meta, training)
    weight = meta.to_edges[-1].weight
    direction = weight.grad / weight.grad.norm()
    slope, step = float((weight.grad * direction).sum()), 1e-2
    with torch.no_grad():
        weight += step * direction
        above = summed()
        weight -= 2 * step * direction
        below = summed()
    assert (above - below) / (2 * step) == pytest.approx(slope, rel=0.02)


def test_the_pressure_is_that_of_the_formula() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Linear(3, 4))
    with torch.no_grad():
        for unit, size in enumerate((1.0, 2.0, 3.0)):
            network[1].weight[unit] = size / 8
            network[2].weight[:, unit] = size / 2
    lesson = Lesson(TrainedNetwork(network, MLP.task()))
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    found = lesson.sparsity(parameters, MetaTraining(pressure=2.0, steepness=16.0))
    factors = 2.0 * torch.tensor([16.0, 4.0, 1.0])  # I = 1/3, 2/3, 1: the exponents are 1, 1/2, 0
    torch.testing.assert_close(found["1.weight"], parameters["1.weight"] * factors[:, None])
    torch.testing.assert_close(found["2.weight"], parameters["2.weight"] * factors)
    assert found.keys() == {"1.weight", "2.weight"}


def test_learning_leaves_networks_alone_and_is_told_by_its_seed(tmp_path: Path) -> None:
    network, task = MLP.model(), MLP.task()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    losses: list[float] = []
    learning = MetaTraining(epochs=2)
    once, again = (
        train_metanetwork(
            [TrainedNetwork(network, task)], SMALL, learning, seed=5, watch=lambda _, loss, __: losses.append(loss)
        )
        for _ in range(2)
    )
    assert losses[:2] == losses[2:]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    path = once.save(tmp_path / "meta.gossamer")
    loaded = Metanetwork.load(path)
    assert loaded.shape == SMALL
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    gossamer.deploy.save(tmp_path / "other", network)
    with pytest.raises(FileError, match="holds no metanetwork"):
        Metanetwork.load(tmp_path / "other")
    with pytest.raises(ModelError, match="no network was given"):
        train_metanetwork([])


def test_a_metanetwork_of_one_network_serves_another(tmp_path: Path) -> None:
    meta = train_metanetwork([TrainedNetwork(MLP.model(), MLP.task())], SMALL, MetaTraining(epochs=1))
    method = MetaPruning(metanetwork=meta.save(tmp_path / "meta"), pretrain=0.0)
    result = compress(
        CNN.model(),
        CNN.task(),
        method,
        training=Training(epochs=2, keep_best=False),
        accelerate=False,
        latency=False,
        progress=False,
    )
    assert result.cost.parameters < 0.7 * result.cost_before.parameters
    assert 0 < result.report["moved"] < 1
    assert result.report["pruning"]["groups"]
    with pytest.raises(SettingError, match="has no sparsity"):
        MetaPruning(pruning=gossamer.method("dense"))
