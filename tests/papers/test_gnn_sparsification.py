from __future__ import annotations

from pathlib import Path

import torch

from gossamer.papers import Pair, Run, dataset
from gossamer.papers.gnn_sparsification import CLAIMS, Setup, Temporal, experiment, with_full_features

WALKS = Temporal(data=("talk",), nodes=200, events=3000, link_epochs=4, node_epochs=4, link_every=10, node_every=4)
TINY = Setup(data=("digits-graph", "csbm"), hidden=4, epochs=6, pretrain=0.25, retrain=0.5, every=100, temporal=WALKS)


def answer(folder: Path) -> dict[str, object]:
    torch.manual_seed(0)
    return dict(experiment(TINY, Run(seed=0, folder=folder, say=lambda text: None)))


def test_a_seed_gives_the_same_again(tmp_path: Path) -> None:
    names = [claim.id for claim in CLAIMS]
    once, again = answer(tmp_path / "a"), answer(tmp_path / "b")
    for name in names:
        assert isinstance(once[name], Pair)
        assert once[name] == again[name]


def test_the_arithmetic_is_that_of_the_definition(tmp_path: Path) -> None:
    found = answer(tmp_path)["gcn-training-arithmetic"]
    assert isinstance(found, Pair)
    dense, sparse = 0.0, 0.0
    for name in TINY.data:
        task = with_full_features(dataset(name, seed=0))
        graph, classes = task.graph, task.dimensions()["out_features"]
        nodes, features = graph.x.shape  # type: ignore[union-attr]
        first = nodes * features * TINY.hidden
        # sums over neighbours and self, on the narrower side of each convolution, and the second product
        rest = (graph.num_edges + nodes) * (TINY.hidden + min(TINY.hidden, classes)) + nodes * TINY.hidden * classes
        kept = 1 - round(TINY.sparsity * features * TINY.hidden) / (features * TINY.hidden)
        dense += 3 * (first + rest)
        sparse += 3 * (first * kept + rest)
    assert abs(found.measured / (TINY.epochs * sparse) - 1) < 0.02
    assert abs(found.baseline / (TINY.epochs * (dense + sparse) / 2) - 1) < 0.02


def test_the_arithmetic_on_walks_is_that_of_the_definition(tmp_path: Path) -> None:
    found = answer(tmp_path)
    for claim, sparsity, every in (
        ("link-training-arithmetic", WALKS.link_sparsity, WALKS.link_every),
        ("brain-training-arithmetic", WALKS.node_sparsity, WALKS.node_every),
    ):
        pair = found[claim]
        assert isinstance(pair, Pair)
        kept = 1 - sparsity
        sparse = (3 * kept * every + 2 * kept + 1) / (every + 1)  # a dense gradient whenever weights move
        pruned = 3 * (1 - WALKS.retrain + WALKS.retrain * kept)
        assert abs(pair.measured / pair.baseline / (sparse / pruned) - 1) < 0.2
