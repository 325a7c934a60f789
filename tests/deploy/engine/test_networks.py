"""A compiled network computes what the network does, for other sizes than it was compiled with too."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
import torch_geometric
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.deploy import compile as compile_network
from gossamer.errors import DataError, SettingError
from gossamer.graph import Graph
from gossamer.kernels import native
from gossamer.models import build, for_task
from gossamer.tasks import datasets

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")

VISION: dict[str, tuple[int, ...]] = {
    "lenet": (1, 28, 28),
    "resnet20": (3, 32, 32),
    "vgg16": (3, 32, 32),
    "vit": (3, 32, 32),
    "mixer": (3, 32, 32),
    "swin": (3, 32, 32),
}
GRAPH = ("appnp", "gat", "gcn", "gin", "mlp", "sage")


def image_network(name: str) -> nn.Module:
    channels, size, _ = VISION[name]
    sizes = {"in_channels": channels, "classes": 10}
    torch.manual_seed(0)
    network = build(name, **sizes, **({"image_size": size} if name in {"lenet", "vit", "mixer", "swin"} else {}))
    return with_statistics(network)


def with_statistics(network: nn.Module) -> nn.Module:
    """Gives batch normalisations something to do."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


@torch.no_grad()
def assert_equal(engine: Any, network: nn.Module, *arguments: Any) -> None:
    expected = network(*arguments)
    found = engine(*arguments)
    assert found.shape == expected.shape
    scale = max(float(expected.abs().max()), 1.0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", VISION)
def test_networks_on_images(name: str) -> None:
    network = image_network(name)
    engine = compile_network(network, (torch.randn(3, *VISION[name]),), threads=1)
    assert engine.torch_steps == ()
    for batch in (3, 1, 5):
        assert_equal(engine, network, torch.randn(batch, *VISION[name]))


@pytest.mark.parametrize("name", GRAPH)
def test_networks_on_graphs(name: str) -> None:
    task = datasets.task("digits-graph")
    torch.manual_seed(0)
    network = with_statistics(for_task(name, task))
    x, graph = task.example()
    engine = compile_network(network, (x, graph), threads=1)
    assert_equal(engine, network, x, graph)
    torch.manual_seed(1)
    few = torch.randn(40, x.shape[1])
    assert_equal(engine, network, few, Graph.from_edge_index(torch.randint(40, (2, 130)), 40))
    assert_equal(engine, network, few, Graph.from_edge_index(torch.empty(2, 0, dtype=torch.int64), 40))
    for step in engine.torch_steps:  # what prepares the graph, but no product and no sum over neighbours
        assert not any(word in step for word in ("linear", "propagate", "attention", "mm"))


def test_a_graph_is_prepared_once_until_it_changes() -> None:
    torch.manual_seed(0)
    network = torch_geometric.nn.GCN(8, 8, 2, 3).eval()
    x, edges = torch.randn(20, 8), torch.randint(20, (2, 60))
    engine = compile_network(network, (x, edges), threads=1)
    first = [step.operator for step in engine.explain() if step.prepares]
    assert any("sort" in name for name in first)
    assert not any("linear" in name or "propagate" in name for name in first)
    assert_equal(engine, network, x, edges)
    prepared = engine._prepared
    assert_equal(engine, network, torch.randn(20, 8), edges)
    assert engine._prepared is prepared
    edges[0, :30] = 0  # in place
    assert_equal(engine, network, x, edges)
    assert engine._prepared is not prepared
    assert_equal(engine, network, torch.randn(25, 8), edges)  # more nodes, the same edges
    with torch.inference_mode():
        unseen = torch.randint(20, (2, 60))
        assert_equal(engine, network, x, unseen)
        unseen.zero_()
        assert_equal(engine, network, x, unseen)


@pytest.mark.parametrize("name", ["GCN", "GraphSAGE", "GIN", "GAT"])
def test_networks_of_pyg(name: str) -> None:
    torch.manual_seed(0)
    network = with_statistics(getattr(torch_geometric.nn, name)(12, 16, 2, 5, norm="batch_norm"))
    engine = compile_network(network, (torch.randn(30, 12), torch.randint(30, (2, 90))), threads=1)
    assert_equal(engine, network, torch.randn(30, 12), torch.randint(30, (2, 90)))
    assert_equal(engine, network, torch.randn(44, 12), torch.randint(44, (2, 61)))


class Small(nn.Module):
    """A convolution, a norm of each kind, attention, pooling and a product."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20)
        self.project, self.rows, self.last = nn.Linear(20, 60), nn.LayerNorm(20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = F.max_pool2d(self.norm(self.conv(x)).relu(), 2).flatten(2).transpose(1, 2)
        q, k, v = (part.unflatten(2, (4, 5)).transpose(1, 2) for part in self.project(self.rows(tokens)).chunk(3, 2))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.last(F.gelu(tokens + mixed).mean(1)).softmax(1)


@pytest.mark.parametrize("isa", native.instruction_sets())
def test_every_instruction_set(isa: str) -> None:
    torch.manual_seed(0)
    network = with_statistics(Small())
    with native.force(isa):
        engine = compile_network(network, (torch.randn(2, 3, 9, 9),), threads=2)
        assert engine.torch_steps == ()
        assert_equal(engine, network, torch.randn(3, 3, 9, 9))


def test_pruned_layers_get_sparse_kernels_and_compute_the_same() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU()).eval()
    for module in network:
        if isinstance(module, nn.Conv2d):
            matrix = module.weight.data.flatten(1).view(4, 16, -1)
            matrix *= torch.rand(4, 1, matrix.shape[2]) < 0.05
    engine = compile_network(network, (torch.randn(2, 32, 24, 24),), threads=1)
    assert_equal(engine, network, torch.randn(2, 32, 24, 24))
    every = engine.explain(repeats=2)
    assert sum(row.operator == "layout" for row in every) == 2  # at the beginning and at the end
    rows = [row for row in every if row.operator != "layout"]
    assert [row.operator.split(" ")[0] for row in rows] == ["conv2d", "conv2d"]
    assert all(row.kernel.split(", ")[1] in {"blocks", "blocks8", "csr"} for row in rows)
    assert all(0.03 < (row.density or 0) < 0.07 for row in rows)
    assert sum(row.share for row in every) == pytest.approx(1.0)


class Sorts(nn.Module):
    """Has operators without a kernel in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu().t()
        return self.second(torch.sort(hidden[1:], dim=0).values.t().cumsum(1).repeat(1, 2)[:, :8])


def test_what_has_no_kernel_runs_in_torch_and_is_named() -> None:
    torch.manual_seed(0)
    network = Sorts().eval()
    engine = compile_network(network, (torch.randn(4, 6),))
    assert any("sort" in name for name in engine.torch_steps)
    assert_equal(engine, network, torch.randn(9, 6))
    assert {row.kernel.partition(",")[0] for row in engine.explain()} >= {"PyTorch: no kernel", "linear"}


class Several(nn.Module):
    """Takes two tensors and returns three, one of them an input and one of them twice."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = (x + y).tanh()
        return z, x, z


def test_several_inputs_and_outputs() -> None:
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    engine = compile_network(Several(), (x, y))
    for found, expected in zip(engine(x, y), Several()(x, y), strict=True):
        torch.testing.assert_close(found, expected)


def test_many_threads_call_one_engine() -> None:
    network = image_network("lenet")
    engine = compile_network(network, (torch.randn(2, 1, 28, 28),), threads=1)
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = torch.randn(1 + seed % 3, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            expected = network(x)
        wrong.extend(seed for _ in range(20) if not torch.allclose(engine(x), expected, atol=1e-5))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_network_is_left_alone_and_may_change() -> None:
    network = image_network("lenet")
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(2, 1, 28, 28)
    engine = compile_network(network, (x,))
    first = engine(x)
    for parameter in network.parameters():
        parameter.data.zero_()
    assert torch.equal(engine(x), first)
    assert before.keys() == network.state_dict().keys()


def test_bad_calls_say_what_is_wrong() -> None:
    engine = compile_network(image_network("lenet"), (torch.randn(2, 1, 28, 28),))
    with pytest.raises(DataError, match=r"x: found torch.float64 of shape \(2, 1, 28, 28\), expected torch.float32"):
        engine(torch.randn(2, 1, 28, 28, dtype=torch.float64))
    with pytest.raises(DataError, match=r"shape \(2, 1, 28, 27\), expected \(2, 1, 28, 28\)"):
        engine(torch.randn(2, 1, 28, 27))
    with pytest.raises(DataError, match="found 2 inputs, expected 1: x"):
        engine(torch.randn(2, 1, 28, 28), torch.randn(2))
    with pytest.raises(DataError, match="argument of str"):
        engine("picture")
    with pytest.raises(SettingError, match="threads is 0"):
        compile_network(image_network("lenet"), (torch.randn(2, 1, 28, 28),), threads=0)
    table = compile_network(nn.Embedding(5, 3), (torch.tensor([1, 2]),))
    with pytest.raises(DataError, match="embedding: an index is out of range"):
        table(torch.tensor([0, 5]))
    assert table(torch.empty(0, dtype=torch.int64)).shape == (0, 3)
