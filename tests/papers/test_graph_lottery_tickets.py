from __future__ import annotations

from pathlib import Path

import torch

from gossamer.graph import Links
from gossamer.models import for_task
from gossamer.papers import Pair, Run, Untestable, dataset
from gossamer.papers.graph_lottery_tickets import CLAIMS, Level, Search, Setup, experiment, macs

QUICK = Search(part=1)
TINY = Setup(data="digits-graph", hidden=4, rounds=1, extreme=2, link_rounds=1, nodes=QUICK, links=QUICK)


def run(folder: Path) -> Run:
    torch.manual_seed(0)
    return Run(seed=0, folder=folder, say=lambda text: None)


def test_a_seed_gives_the_same_again(tmp_path: Path) -> None:
    once, again = (dict(experiment(TINY, run(tmp_path / name))) for name in ("a", "b"))
    assert once.keys() == {claim.id for claim in CLAIMS}
    for name, pair in once.items():
        assert isinstance(pair, Pair) != (name == "large-graphs")
        assert isinstance(pair, Untestable) or pair == again[name]


def test_multiply_accumulates_are_those_of_the_definition(tmp_path: Path) -> None:
    task = dataset("digits-graph", seed=0)
    network = for_task("gcn", task, hidden=4)
    level = Level(QUICK, 2, run(tmp_path))
    features, classes = task.dimensions()["in_features"], task.dimensions()["out_features"]
    for way, removed in (("dense", 0.0), ("ticket", 0.0975), ("random", 0.0975), ("random edges", 0.0975)):
        result = level.train(way, network, task)
        (graph,), (whole,) = result.task.graphs(), task.graphs()
        links = len(Links.of(whole))
        assert len(Links.of(graph)) == -(-round((1 - removed) * links, 6) // 1)
        kept = sum(int((weight != 0).sum()) for weight in result.model.parameters() if weight.dim() == 2)
        assert kept == round((0.64 if removed else 1.0) * 4 * (features + classes) + 0.49)
        sums = (graph.num_edges + graph.num_nodes) * (4 + min(4, classes))
        assert macs(result) == graph.num_nodes * kept + sums
