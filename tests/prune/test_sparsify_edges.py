from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

import gossamer
from gossamer.compression import compare, compress, method
from gossamer.cost import Budget
from gossamer.counting import count_macs
from gossamer.errors import DataError, ModelError, SettingError
from gossamer.graph import Graph, Links, csbm
from gossamer.graph.sparsify import LocalDegree, Sparsifier, Spectral, sparsify
from gossamer.models import build
from gossamer.settings import members
from gossamer.tasks import NodeClassification
from gossamer.train import Training
from tests.graph.test_kept import same

QUICK: dict[str, Any] = {"accelerate": False, "latency": False, "progress": False}
GRAPH = csbm(90, 3, 8, seed=0)


def task(**options: Any) -> NodeClassification:
    return NodeClassification.from_graph(GRAPH, per_class=8, val_per_class=8, **options)


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("gcn", in_features=8, hidden=8, out_features=3)


class PyGNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = GCNConv(8, 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.layer(x, edge_index)
        return out


class WeighedNet(PyGNet):
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        out: Tensor = self.layer(x, edge_index, edge_weight)
        return out


@pytest.mark.parametrize("by", sorted(members(Sparsifier)))
def test_what_is_measured_is_the_network_on_the_edges_that_stay(by: str, tmp_path: Path) -> None:
    found = compress(
        network(), task(), method("sparsify-edges", by=by, removed=0.4), training=Training(epochs=3), **QUICK
    )
    (left,) = found.task.graphs()
    assert found.edges_removed == pytest.approx(0.4, abs=0.06 if by == "spectral" else 0.01)
    assert found.cost.macs == count_macs(found.model, found.task.example()).total < found.cost_before.macs
    parts = [left.adjacency.indptr, left.adjacency.indices, left.weights]
    assert found.cost.graph_bytes == sum(part.nbytes for part in parts if part is not None)
    assert found.quality == found.task.evaluate(found.model, "test")
    assert found.report["edges_kept"] == left.num_edges
    assert found.to_json()["edges_removed"] == found.edges_removed
    path = found.save(tmp_path / "small.gossamer")
    again = gossamer.load_task(path, task())
    assert same(again.graphs()[0], left)
    assert again.evaluate(gossamer.load(path), "test") == found.quality


def test_a_file_refuses_another_graph_and_keeps_edges_through_a_second_method(tmp_path: Path) -> None:
    first = compress(network(), task(), method("sparsify-edges"), training=Training(epochs=2), **QUICK)
    path = first.save(tmp_path / "first.gossamer")
    with pytest.raises(DataError, match=r"first\.gossamer: the network was made for some .* another graph"):
        gossamer.load_task(path, NodeClassification.from_graph(csbm(90, 3, 8, seed=1), per_class=8, val_per_class=8))
    fewer = gossamer.load_task(path, task())
    second = compress(gossamer.load(path), fewer, method("magnitude"), training=Training(epochs=2), **QUICK)
    again = gossamer.load_task(second.save(tmp_path / "second.gossamer"), task())
    assert same(again.graphs()[0], first.task.graphs()[0]), "from the whole graph, both removals"
    plain = compress(network(), task(), method("magnitude"), training=Training(epochs=1), **QUICK)
    whole = task()
    assert gossamer.load_task(plain.save(tmp_path / "plain.gossamer"), whole) is whole
    assert plain.edges_removed is None


def test_a_budget_of_the_graph_turns_the_knob() -> None:
    whole = compress(network(), task(), method("dense"), training=Training(epochs=0), **QUICK).cost.graph_bytes
    assert whole is not None
    budget = Budget(graph_bytes=0.5 * whole)
    found = compress(network(), task(), method("sparsify-edges"), training=Training(epochs=1), budget=budget, **QUICK)
    assert found.met_budget
    assert found.cost.graph_bytes is not None
    assert 0.48 * whole < found.cost.graph_bytes <= 0.5 * whole


def test_a_comparison_measures_each_network_on_its_own_edges(tmp_path: Path) -> None:
    found = compare(
        network,
        task(),
        {"edges": method("sparsify-edges"), "dense": method("dense")},
        out=tmp_path,
        sparsities=(0.25, 0.75),
        seeds=(0,),
        training=Training(epochs=2),
        engine="inline",
        progress=False,
    )
    assert not found.failed
    macs = {point.label: point.costs["macs"].mean for point in found.points()}
    assert macs["edges 75 %"] < macs["edges 25 %"] < macs["dense"]
    assert "graph_bytes" in [axis.key for axis in found.axes]
    cell = next(cell for cell in found.cells if cell["sparsity"] == 0.75)
    again = gossamer.load_task(tmp_path / "cells" / cell["id"] / "model.gossamer", task())
    assert len(Links.of(again.graphs()[0])) == -(-len(Links.of(GRAPH)) // 4)


def test_a_task_on_fewer_edges_is_compared_on_them_and_added_edges_are_refused(tmp_path: Path) -> None:
    fewer = task().on_graphs([sparsify(GRAPH, LocalDegree(), 0.5).graph])
    found = compare(
        network,
        fewer,
        {"magnitude": method("magnitude"), "edges": method("sparsify-edges")},
        out=tmp_path,
        seeds=(0,),
        training=Training(epochs=1),
        engine="inline",
        progress=False,
    )
    assert not found.failed
    kept = {cell["method"]: cell["edges_removed"] for cell in found.cells}
    assert kept == {"magnitude": pytest.approx(0.5, abs=0.01), "edges": pytest.approx(0.75, abs=0.01)}
    complete = Graph.from_edge_index(torch.ones(90, 90).nonzero().t(), 90)
    with pytest.raises(DataError, match="has an edge that the original has not"):
        compress(network(), task().on_graphs([complete]), method("dense"), training=Training(epochs=1), **QUICK)


def test_networks_of_pyg_keep_their_call() -> None:
    plain = task(edge_index=True)
    torch.manual_seed(0)
    found = compress(PyGNet(), plain, method("sparsify-edges"), training=Training(epochs=2), **QUICK)
    assert found.task.example()[1].shape[1] == found.task.graphs()[0].num_edges
    weighed = method("sparsify-edges", by="spectral")
    with pytest.raises(ModelError, match="PyGNet takes no edge weights"):
        compress(PyGNet(), plain, weighed, training=Training(epochs=1), **QUICK)
    unweighed = method("sparsify-edges", by=Spectral(rescale=False))
    compress(PyGNet(), plain, unweighed, training=Training(epochs=1), **QUICK)
    taken = compress(WeighedNet(), plain, weighed, training=Training(epochs=1), **QUICK)
    assert len(taken.task.example()) == 3


def test_isolated_nodes_are_reported() -> None:
    chosen = method("sparsify-edges", removed=0.95)
    found = compress(network(), task(), chosen, training=Training(epochs=1), **QUICK)
    degrees = found.task.graphs()[0].degrees()
    count = int((degrees == 0).sum()) - int((GRAPH.degrees() == 0).sum())
    assert count > 0
    assert found.report["isolated_nodes"] == count
    assert f"Nodes that have lost their last edge, and hear only themselves: {count}." in found.notes


def test_settings_are_read_and_refused() -> None:
    (chosen,) = gossamer.compression.parse_methods("sparsify-edges[by=l-spar,removed=0.3]").values()
    assert chosen.to_json() == {"name": "sparsify-edges", "removed": 0.3, "by": {"name": "l-spar"}}
    with pytest.raises(SettingError, match=r"did you mean 'spectral'"):
        method("sparsify-edges", by="spectrum")
