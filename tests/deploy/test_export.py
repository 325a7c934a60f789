"""Every network of the zoo, and PyG's, compute the same as ONNX and as .pt2, for any numbers of nodes and edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import onnx as onnx_library
import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer import models
from gossamer.deploy import export
from gossamer.deploy.export import onnx, program
from gossamer.deploy.export.export import difference
from gossamer.graph import CSR, Graph

TOLERANCE = 1e-4
WIDTH = 6
Run = Callable[[Sequence[Tensor]], list[Tensor]]


class Convolutions(nn.Module):
    """A network of a user's own, from PyG's layers, the last of which takes edge weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = pyg.GATConv(WIDTH, 4, heads=2)
        self.second = pyg.SAGEConv(8, 5, aggr="max")
        self.third = pyg.GCNConv(5, 3)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        hidden = self.second(self.first(x, edge_index).relu(), edge_index).relu()
        out: Tensor = self.third(hidden, edge_index, edge_weight)
        return out


class NotKnown(nn.Module):
    """A network with a layer of PyG that this library has no stand-in for."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = pyg.GATConv(WIDTH, 4, edge_dim=1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        out: Tensor = self.layer(x, edge_index, edge_weight[:, None])
        return out


def _example(nodes: int, edges: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(nodes, WIDTH, generator=generator)
    return x, torch.randint(max(nodes, 1), (2, edges), generator=generator)


def _zoo(name: str, **arguments: Any) -> nn.Module:
    widths = {"in_features": WIDTH, "hidden": 8, "out_features": 3}
    return models.build(name, **widths, **({"steps": 3} if name == "appnp" else {}), **arguments)


GRAPHS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: _zoo(name) for name in ("appnp", "gat", "gcn", "gin", "mlp", "sage")},  # type: ignore[misc]
    **{
        f"pyg.{name}": lambda name=name: getattr(pyg.models, name)(WIDTH, 8, 2, 3)  # type: ignore[misc]
        for name in ("GCN", "GraphSAGE", "GIN", "GAT")
    },
    "own": Convolutions,
    "unknown": NotKnown,
}
IMAGES = {
    "lenet": (1, 12),
    "mixer": (1, 8),
    "resnet20": (3, 8),
    "resnet56": (3, 8),
    "swin": (3, 32),
    "vgg16": (1, 8),
    "vit": (3, 8),
}


VECTORS = ["fnn", "fnn-node"]


def test_the_tables_hold_the_zoo() -> None:
    graphs = {name for name in GRAPHS if name.islower() and "." not in name} - {"own", "unknown"}
    assert graphs | set(IMAGES) | set(VECTORS) == set(models.names())


@pytest.mark.parametrize("name", VECTORS)
def test_networks_on_vectors_of_any_number(name: str, tmp_path: Path) -> None:
    model = _zoo(name).eval()
    x = torch.randn(5, WIDTH)
    for kind in ("onnx", "pt2"):
        found = export(model, (torch.randn(2, WIDTH),), tmp_path / f"net.{kind}")
        run = onnx.runner(str(found.path)) if kind == "onnx" else program.runner(found.path)
        assert difference(run((x,)), [model(x)]) <= TOLERANCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@cache
def _exported(name: str, folder: Path) -> tuple[nn.Module, dict[str, Run]]:
    """Exports a network on graphs to both formats, on an example of 9 nodes and 20 edges."""
    torch.manual_seed(1)
    model = GRAPHS[name]().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    example: tuple[Any, ...] = _example(9, 20)
    if name in {"own", "unknown"}:
        example += (torch.rand(20),)
    elif not name.startswith("pyg"):
        example = (example[0], Graph.from_edge_index(example[1], 9))
    files = {kind: export(model, example, folder / f"{name}.{kind}", check=False).path for kind in ("onnx", "pt2")}
    return model, {"onnx": onnx.runner(str(files["onnx"])), "pt2": program.runner(files["pt2"])}


@pytest.mark.parametrize("name", GRAPHS)
def test_networks_on_graphs_of_any_size(name: str, folder: Path) -> None:
    model, runs = _exported(name, folder)

    @settings(max_examples=25)
    @given(nodes=st.integers(1, 24), edges=st.integers(0, 60), seed=st.integers(0, 99))
    def agree(nodes: int, edges: int, seed: int) -> None:
        tensors: tuple[Tensor, ...] = _example(nodes, edges, seed)  # many loops, repeated edges and isolated nodes
        if name in {"own", "unknown"}:
            tensors += (torch.rand(edges),)
        for run in runs.values():
            assert difference(run(tensors), [model(*tensors)]) <= TOLERANCE

    agree()


@pytest.mark.parametrize("name", ["gat", "pyg.GAT"])
@pytest.mark.parametrize("size", [-300.0, 300.0])
def test_attention_stays_right_where_every_score_is_extreme(name: str, size: float, folder: Path) -> None:
    # A maximum that starts from zero instead of from nothing would make every weight 0 / 0 here.
    torch.manual_seed(0)
    model = GRAPHS[name]().eval().requires_grad_(False)
    for key, parameter in model.named_parameters():
        if "att" in key or key.endswith(("source", "target")):
            parameter.fill_(size)
    x, edges = _example(9, 30)
    example = (x.abs(), edges)
    found = export(model, example, folder / f"extreme{name}.onnx", check=False)
    got, wanted = onnx.runner(str(found.path))(example), model(*example)
    assert wanted.isfinite().all()
    assert difference(got, [wanted]) <= TOLERANCE


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_networks_on_images_of_any_number(name: str, kind: str, tmp_path: Path) -> None:
    channels, size = IMAGES[name]
    arguments = {} if name.startswith("resnet") else {"image_size": size}
    model = models.build(name, in_channels=channels, classes=4, **arguments)
    x = torch.randn(1, channels, size, size)  # a batch of one must not fix it to one
    found = export(model, (x,), tmp_path / f"net.{kind}")
    assert found.max_error is not None
    assert found.max_error <= TOLERANCE
    assert found.inputs["x"] == ("batch", channels, size, size)
    assert found.bytes == found.path.stat().st_size
    assert model.training  # the network is left as it was


@pytest.mark.parametrize("mean", [False, True])
def test_networks_that_pool_graphs(mean: bool, tmp_path: Path) -> None:
    model = _zoo("sage", per_graph=True)
    model.mean = mean
    x, edges = _example(9, 20)
    batch = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    files = [tmp_path / "net.onnx", tmp_path / "net.pt2"]
    for file in files:
        found = export(model, (x, Graph.from_edge_index(edges, 9), batch), file)
        assert list(found.inputs) == ["x", "edge_index", "batch"]
    one = (*_example(4, 5), torch.tensor([0, 0, 4, 4]))  # graphs without nodes between
    for run in (onnx.runner(str(files[0])), program.runner(files[1])):
        assert difference(run(one), [model.eval()(*one)]) <= TOLERANCE


def test_a_weighted_graph_and_sparse_features(tmp_path: Path) -> None:
    model = _zoo("gcn").eval()
    x, edges = _example(9, 20)
    weights = torch.rand(20)
    graph = Graph.from_edge_index(edges, 9, weights)
    for kind in ("onnx", "pt2"):
        found = export(model, (CSR.from_dense(x * (x > 0.5)), graph), tmp_path / f"net.{kind}")
        assert found.inputs == {"x": ("nodes", WIDTH), "edge_index": (2, "edges"), "edge_weight": ("edges",)}
        run = onnx.runner(str(found.path)) if kind == "onnx" else program.runner(found.path)
        assert difference(run((x, edges, weights)), [model(x, graph)]) <= TOLERANCE


def test_the_onnx_file_is_standard_and_says_what_it_takes(tmp_path: Path, folder: Path) -> None:
    _exported("gat", folder)
    proto = onnx_library.load(folder / "gat.onnx")
    onnx_library.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["x", "edge_index", "output"]
    assert [d.dim_param or d.dim_value for d in proto.graph.input[1].type.tensor_type.shape.dim] == [2, "edges"]
    assert [d.dim_param or d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim] == ["nodes", 3]
    older = export(_zoo("mlp"), (torch.randn(4, WIDTH),), tmp_path / "net.onnx", opset=18)
    assert onnx_library.load(older.path).opset_import[0].version == 18


def test_programs_keep_the_operators_of_this_library(folder: Path) -> None:
    for name in ("gat", "pyg.GAT"):
        _exported(name, folder)
        targets = {str(node.target) for node in torch.export.load(folder / f"{name}.pt2").graph.nodes}
        assert "gossamer.attention.default" in targets
    assert torch.export.load(folder / "gat.pt2").example_inputs is None
