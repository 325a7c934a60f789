from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gossamer.errors import SettingError
from gossamer.graph import Links, csbm
from gossamer.models import build
from gossamer.tasks import NodeClassification, SampledNodeClassification, Task
from gossamer.train import Training, fit
from gossamer.train.drop_edges import thinned
from tests.battery.networks import NETWORKS

GRAPH = csbm(60, 3, 8, seed=0)


def task() -> NodeClassification:
    return NodeClassification.from_graph(GRAPH, per_class=6, val_per_class=6)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build("gcn", in_features=8, hidden=8, out_features=3)


def test_each_epoch_drops_others_and_each_link_as_often() -> None:
    given, epochs, fraction = task(), 300, 0.3
    links = Links.of(GRAPH)
    present = torch.zeros(len(links))
    for epoch in range(epochs):
        (graph,) = thinned(given, fraction, seed=7, epoch=epoch).graphs()
        assert graph.is_undirected()
        left = Links.of(graph)
        assert len(left) == -(-len(links) * 7 // 10), "exactly the number that the paper drops"
        present += torch.isin(links.source * 60 + links.target, left.source * 60 + left.target)
    share = present / epochs
    assert float(share.mean()) == pytest.approx(0.7, abs=0.005)
    assert float((share - 0.7).abs().max()) < 5 * (0.3 * 0.7 / epochs) ** 0.5


def test_the_draw_belongs_to_seed_and_epoch() -> None:
    def edges(seed: int, epoch: int) -> torch.Tensor:
        return thinned(task(), 0.5, seed=seed, epoch=epoch).graphs()[0].to_edge_index()

    assert torch.equal(edges(1, 2), edges(1, 2))
    assert not torch.equal(edges(1, 2), edges(1, 3))
    assert not torch.equal(edges(1, 2), edges(2, 2))


def test_degrees_are_those_of_what_is_left() -> None:
    (graph,) = thinned(task(), 0.5, seed=0, epoch=0).graphs()
    dense = graph.adjacency.to_dense() + torch.eye(60)
    scale = dense.sum(1).rsqrt()
    found = graph.add_self_loops().symmetric().adjacency.to_dense()
    torch.testing.assert_close(found, scale[:, None] * dense * scale)


class Seen(NodeClassification):
    """Notes how many edges each call of training and of validation saw."""

    edges: dict[str, list[int]]

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        self.edges["train"].append(self.graph.num_edges)
        return super().loss(model, batch)

    def evaluate(self, model: nn.Module, split: Any) -> dict[str, float]:
        self.edges["val"].append(self.graph.num_edges)
        return super().evaluate(model, split)


def test_training_drops_and_validation_does_not() -> None:
    seen = Seen(task().graph)
    seen.edges = {"train": [], "val": []}
    fit(network(), seen, Training(epochs=3, drop_edges=0.25), progress=False)
    assert len(set(seen.edges["train"])) == 1
    assert seen.edges["train"][0] == pytest.approx(0.75 * GRAPH.num_edges, abs=2)
    assert seen.edges["val"] == [GRAPH.num_edges] * 3


@pytest.mark.parametrize(
    "given", [task(), SampledNodeClassification(task(), [3, 3], batch_size=7)], ids=["all", "some"]
)
def test_a_killed_run_goes_on_with_the_same_weights(
    given: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(epochs=4, drop_edges=0.4, checkpoint_minutes=0.0, keep_best=False)
    straight, killed = network(), network()
    fit(straight, given, training, seed=5, progress=False)
    plain, calls = type(given).loss, 0

    def loss(self: Task, model: nn.Module, batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 2 * given.steps():
            raise KeyError("killed")
        return plain(self, model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(type(given), "loss", loss)
        with pytest.raises(KeyError):
            fit(killed, given, training, seed=5, checkpoint=tmp_path / "run", progress=False)
    resumed = network(1)
    fit(resumed, given, training, seed=5, checkpoint=tmp_path / "run", progress=False)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    plainly = network()
    fit(plainly, given, training.replace(drop_edges=0.0), seed=5, progress=False)
    assert any(not torch.equal(value, plainly.state_dict()[name]) for name, value in straight.state_dict().items())


def test_a_task_without_a_graph_is_refused() -> None:
    mlp = NETWORKS[0]
    with pytest.raises(SettingError, match=r"drop_edges is 0\.1, but the task .* has no graph"):
        fit(mlp.model(), mlp.task(), Training(epochs=1, drop_edges=0.1), progress=False)
    with pytest.raises(SettingError, match=r"drop_edges is 1\.0"):
        Training(drop_edges=1.0)
