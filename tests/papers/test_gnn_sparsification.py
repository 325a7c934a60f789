from __future__ import annotations

from pathlib import Path

import torch

from gossamer.papers import Pair, Run, dataset
from gossamer.papers.gnn_sparsification import Setup, experiment, with_full_features

TINY = Setup(data=("digits-graph", "csbm"), hidden=4, epochs=6, dense_share=0.5, every=100)


def answer(folder: Path) -> dict[str, object]:
    torch.manual_seed(0)
    return dict(experiment(TINY, Run(seed=0, folder=folder, say=lambda text: None)))


def test_a_seed_gives_the_same_again(tmp_path: Path) -> None:
    names = ("gcn-accuracy", "gcn-extreme-sparsity", "gcn-training-arithmetic")
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
